// What is pushed: encoded once, then sent in real time with -c copy, so that a
// busy machine does not make the encoder late.
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { run, start, stop } from './process.mjs'

export const WIDTH = 320
export const HEIGHT = 180
export const FRAME_RATE = 30

const VIDEO = ['-f', 'lavfi', '-i', `testsrc2=s=${WIDTH}x${HEIGHT}:r=${FRAME_RATE}`]
const AUDIO = ['-f', 'lavfi', '-i', 'sine=frequency=440:beep_factor=4:sample_rate=44100']
const H264 = ['-c:v', 'libx264', '-preset', 'ultrafast', '-bf', '2', '-g', '60', '-pix_fmt', 'yuv420p',
  '-b:v', '400k', '-maxrate', '400k', '-bufsize', '400k']
const AAC = ['-c:a', 'aac', '-b:a', '128k']

/** Encodes the sources into dir: av (picture and sound), audio (the sound alone) and mp3 (with MP3 for sound). */
export async function encode (dir, seconds) {
  const quiet = ['-v', 'error', '-nostdin', '-y']
  const files = { av: join(dir, 'av.flv'), audio: join(dir, 'audio.flv'), mp3: join(dir, 'mp3.flv') }
  await run('ffmpeg', [...quiet, ...VIDEO, ...AUDIO, '-t', `${seconds}`, ...H264, ...AAC, files.av])
  await run('ffmpeg', [...quiet, '-i', files.av, '-map', '0:a', '-c', 'copy', files.audio])
  await run('ffmpeg', [...quiet, '-i', files.av, '-c:v', 'copy', '-c:a', 'libmp3lame', '-b:a', '128k', files.mp3])
  return files
}

/** Publishes a file in real time. */
export function push (file, url) {
  return start('ffmpeg', ['-v', 'error', '-nostdin', '-re', '-i', file, '-c', 'copy', '-f', 'flv', url])
}

/** Publishes a file as an encoder does that connects again when it has lost the server. close() ends it. */
export function keepPushing (file, url) {
  let open = true
  let current
  const done = (async () => {
    while (open) {
      current = push(file, url)
      await current.ended
      if (open) await sleep(500)
    }
  })()
  return {
    async close () {
      open = false
      await stop(current, 'SIGKILL')
      await done
    }
  }
}
