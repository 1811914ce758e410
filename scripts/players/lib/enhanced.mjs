// Streams with frames and timestamps as they are wanted: of Enhanced RTMP, as encoders
// sent it that this system need not have, and with clocks that ffmpeg cannot be given.
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { buildPackage } from './headwater.mjs'
import { start } from './process.mjs'

const FILES = fileURLToPath(new URL('../../../remux/testdata/enhanced', import.meta.url))
const PICTURES = { width: 96, height: 64, rate: 15 }
const AAC = '48000/1024'
const OPUS = '48000/960'

/** By the names of the files: the rate of the sound's frames, and what a browser that plays it has to decode. */
export const ENHANCED = {
  av1_aac: { ...PICTURES, frames: AAC, codecs: 'av01.0.00M.08,mp4a.40.2' },
  av1_opus: { ...PICTURES, frames: OPUS, codecs: 'av01.0.00M.08,opus' },
  obs_av1_aac: { ...PICTURES, frames: AAC, codecs: 'av01.0.00M.08,mp4a.40.2' },
  vp9_aac: { ...PICTURES, frames: AAC, codecs: 'vp09.00.10.08,mp4a.40.2' },
  vp9_opus: { ...PICTURES, frames: OPUS, codecs: 'vp09.00.10.08,opus' },
  h264_flac: { ...PICTURES, frames: '16000/1024', codecs: 'avc1.64000a,flac' },
  opus51: { frames: OPUS, codecs: 'opus' },
  opus60: { frames: '48000/2880', codecs: 'opus' },
  hevc_aac: { ...PICTURES, frames: AAC, codecs: 'hvc1.1.6.L30.90,mp4a.40.2' },
  hevc10_opus: { ...PICTURES, frames: OPUS, codecs: 'hvc1.2.4.L30.90,opus' },
  h264_ac3: { ...PICTURES, frames: '48000/1536', codecs: 'avc1.64000a,ac-3' },
  h264_eac3: { ...PICTURES, frames: '48000/1536', codecs: 'avc1.64000a,ec-3' }
}

/** Builds what publishes them into dir. */
export const buildPusher = dir => buildPackage(dir, 'pushflv', './scripts/players/pushflv')

/** Publishes one of them in real time, over and over, to rtmp://HOST:PORT/APP/NAME. */
export function pushEnhanced (pusher, name, url) {
  const { rate, frames } = ENHANCED[name]
  return pushFrames(pusher, join(FILES, `${name}.flv`), url, rate ? `${rate}/1` : '0', frames)
}

/** Publishes a file of whole groups of pictures likewise; options are pushflv's. */
export function pushFrames (pusher, file, url, pictures, sound, ...options) {
  const { host, pathname } = new URL(url)
  return start(pusher, [...options, host, pathname.slice(1), file, pictures, sound])
}
