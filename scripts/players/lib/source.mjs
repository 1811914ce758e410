// What is pushed: encoded once, then sent in real time with -c copy, so that a
// busy machine does not make the encoder late.
import { join } from 'node:path'
import { run, start } from './process.mjs'

export const WIDTH = 640
export const HEIGHT = 360
export const FRAME_RATE = 30

const VIDEO = ['-f', 'lavfi', '-i', `testsrc2=s=${WIDTH}x${HEIGHT}:r=${FRAME_RATE}`]
const AUDIO = ['-f', 'lavfi', '-i', 'sine=frequency=440:beep_factor=4:sample_rate=44100']
const H264 = ['-c:v', 'libx264', '-preset', 'ultrafast', '-bf', '2', '-g', '60', '-pix_fmt', 'yuv420p',
  '-b:v', '1M', '-maxrate', '1M', '-bufsize', '1M']
const AAC = ['-c:a', 'aac', '-b:a', '128k']

/** Encodes the two sources into dir: av (picture and sound) and audio. */
export async function encode (dir, seconds) {
  const quiet = ['-v', 'error', '-nostdin', '-y']
  const files = { av: join(dir, 'av.flv'), audio: join(dir, 'audio.flv') }
  await run('ffmpeg', [...quiet, ...VIDEO, ...AUDIO, '-t', `${seconds}`, ...H264, ...AAC, files.av])
  await run('ffmpeg', [...quiet, '-i', files.av, '-map', '0:a', '-c', 'copy', files.audio])
  return files
}

/** Publishes a file in real time. */
export function push (file, url) {
  return start('ffmpeg', ['-v', 'error', '-nostdin', '-re', '-i', file, '-c', 'copy', '-f', 'flv', url])
}
