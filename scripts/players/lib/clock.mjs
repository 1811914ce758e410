// An encoder whose pictures tell when they were drawn.
import { setTimeout as sleep } from 'node:timers/promises'
import { BITS, BLOCK, check, encode, WIDTH } from './clockcode.mjs'
import { start, stop } from './process.mjs'

const HEIGHT = 360
export const RATE = 30
const SAMPLES = 48000
const GOP = 2 // seconds

const H264 = ['-c:v', 'libx264', '-preset', 'ultrafast', '-tune', 'zerolatency', '-g', `${GOP * RATE}`, '-b:v', '1500k',
  '-maxrate', '1500k', '-bufsize', '750k']

/**
 * Publishes pictures with a clock, and a tone, in real time until it is closed. The clock counts milliseconds from
 * epoch, a Date.now(). Frames go to the encoder when they are drawn, so an age is from there to the viewer.
 */
export function pushClock (url, epoch) {
  const p = start('ffmpeg', ['-v', 'error', '-thread_queue_size', '8', '-probesize', '32', '-f', 'rawvideo',
    '-pix_fmt', 'yuv420p', '-s', `${WIDTH}x${HEIGHT}`, '-r', `${RATE}`, '-i', 'pipe:0',
    '-thread_queue_size', '8', '-probesize', '32', '-f', 's16le', '-ar', `${SAMPLES}`, '-ac', '1', '-i', 'pipe:3',
    ...H264, '-c:a', 'aac', '-b:a', '96k', '-flush_packets', '1', '-f', 'flv', url],
  { stdio: ['pipe', 'pipe', 'pipe', 'pipe'] })
  let open = true
  const pictures = p.child.stdin
  const sound = p.child.stdio[3]
  for (const pipe of [pictures, sound]) pipe.on('error', () => { open = false }) // it has ended
  let late = 0
  const drawn = (async () => {
    const begun = performance.now()
    for (let n = 0; open; n++) {
      const wait = begun + n * 1000 / RATE - performance.now()
      if (wait > 0) await sleep(wait)
      late = Math.max(late, -wait)
      sound.write(tone(n))
      if (!pictures.write(picture(n, Date.now() - epoch))) {
        await Promise.race([new Promise(resolve => pictures.once('drain', resolve)), p.ended])
      }
    }
  })()
  return {
    /** How late the latest picture since the last call was, in ms: much, where the machine has no time for us. */
    late () {
      const ms = late
      late = 0
      return ms
    },
    log: () => p.log,
    async close () {
      open = false
      await drawn
      await stop(p, 'SIGKILL')
    }
  }
}

/**
 * Decodes a stream with ffmpeg, as it does for a player that wants little delay, until it is closed. ages has, for each
 * picture, how long ago it was drawn, in ms; null where its clock could not be read.
 */
export function pullClock (url, epoch) {
  const p = start('ffmpeg', ['-v', 'error', '-nostdin', '-fflags', 'nobuffer', '-flags', 'low_delay', '-threads', '1',
    '-i', url, '-map', '0:v', '-vf', `crop=${WIDTH}:1:0:${BLOCK / 2}:exact=1,format=gray`, '-fps_mode', 'passthrough',
    '-f', 'rawvideo', '-flush_packets', '1', 'pipe:3'],
  { stdio: ['ignore', 'pipe', 'pipe', 'pipe'] })
  const ages = []
  let rest = Buffer.alloc(0)
  p.child.stdio[3].on('data', chunk => {
    const now = Date.now() - epoch
    rest = Buffer.concat([rest, chunk])
    for (; rest.length >= WIDTH; rest = rest.subarray(WIDTH)) {
      let code = 0
      for (let i = 0; i < BITS; i++) code = code * 2 + (rest[i * BLOCK + BLOCK / 2] > 127 ? 1 : 0)
      const time = check(code)
      ages.push(time === null ? null : now - time)
    }
  })
  return { ages, log: () => p.log, close: () => stop(p, 'SIGKILL') }
}

/** A picture in planar 4:2:0: the clock, and below it something that moves. */
function picture (n, ms) {
  const b = Buffer.alloc(WIDTH * HEIGHT * 3 / 2, 128)
  const code = encode(ms).toString(2).padStart(BITS, '0')
  const row = Buffer.alloc(WIDTH)
  for (let i = 0; i < BITS; i++) row.fill(code[i] === '1' ? 235 : 16, i * BLOCK, (i + 1) * BLOCK)
  for (let y = 0; y < BLOCK; y++) row.copy(b, y * WIDTH)
  for (let y = 2 * BLOCK; y < HEIGHT; y++) {
    const x = (y + 4 * n) % WIDTH
    b.fill(60 + y % 120, y * WIDTH + x, y * WIDTH + Math.min(x + 60, WIDTH))
  }
  return b
}

/** The sound that goes with a picture. */
function tone (n) {
  const count = SAMPLES / RATE
  const b = Buffer.alloc(2 * count)
  for (let i = 0; i < count; i++) b.writeInt16LE(Math.round(8000 * Math.sin(2 * Math.PI * 440 * (n * count + i) / SAMPLES)), 2 * i)
  return b
}
