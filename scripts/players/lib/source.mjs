// What is pushed: encoded once, then sent in real time with -c copy, so that a
// busy machine does not make the encoder late.
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { run, start, stop } from './process.mjs'

const WIDTH = 320
const HEIGHT = 180

const SOUND = ['-f', 'lavfi', '-i', 'sine=frequency=440:beep_factor=4:sample_rate=44100']
const AAC = ['-c:a', 'aac', '-b:a', '128k']
const H264 = ['-c:v', 'libx264', '-preset', 'ultrafast', '-bf', '2', '-g', '60', '-pix_fmt', 'yuv420p',
  '-b:v', '400k', '-maxrate', '400k', '-bufsize', '400k']
const pictures = rate => ['-f', 'lavfi', '-i', `testsrc2=s=${WIDTH}x${HEIGHT}:r=${rate}`]

/** The pictures of a source, if it has any, and whether it has sound. */
export const SHAPES = {
  av: { width: WIDTH, height: HEIGHT, rate: 30, sound: true },
  ntsc: { width: WIDTH, height: HEIGHT, rate: 30000 / 1001, sound: true },
  film: { width: WIDTH, height: HEIGHT, rate: 24000 / 1001, sound: true },
  video: { width: WIDTH, height: HEIGHT, rate: 30, sound: false },
  audio: { sound: true },
  mp3: { width: WIDTH, height: HEIGHT, rate: 30, sound: true }
}

/** Encodes the sources of those names into dir and returns their files. */
export async function encode (dir, seconds, names = Object.keys(SHAPES)) {
  const files = Object.fromEntries(names.map(name => [name, join(dir, `${name}.flv`)]))
  const from = join(dir, 'av.flv')
  const how = {
    ntsc: [...pictures('30000/1001'), ...SOUND, '-t', `${seconds}`, ...H264, '-bf', '3', ...AAC],
    film: [...pictures('24000/1001'), ...SOUND, '-frames:v', '192', '-t', '8.1', ...H264, '-g', '48', '-keyint_min', '48', '-sc_threshold', '0', ...AAC],
    video: ['-i', from, '-map', '0:v', '-c', 'copy'],
    audio: ['-i', from, '-map', '0:a', '-c', 'copy'],
    mp3: ['-i', from, '-c:v', 'copy', '-c:a', 'libmp3lame', '-b:a', '128k']
  }
  const make = (args, file) => run('ffmpeg', ['-v', 'error', '-nostdin', '-y', ...args, file])
  await make([...pictures('30'), ...SOUND, '-t', `${seconds}`, ...H264, ...AAC], from)
  await Promise.all(names.filter(name => name !== 'av').map(name => make(how[name], files[name])))
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
