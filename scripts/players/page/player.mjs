// Runs in the browser. play() starts a player on a video element of its own;
// state() says how it is doing. Everything a viewer would notice is kept.
import { kinds } from '/kinds.mjs'
import { readClock } from '/clock.mjs'

const shown = new Map() // by the name play() gave: { video, seen, player }

/** Adds a video element whose interruptions are noted. */
function element () {
  const video = document.createElement('video')
  video.controls = true
  document.body.append(video)
  const seen = { errors: [], waits: [], playing: 0, clock: [] }
  const at = () => ({ at: performance.now() - seen.playing, time: video.currentTime, ranges: ranges(video) })
  for (const type of ['waiting', 'error', 'ended', 'pause']) {
    video.addEventListener(type, () => {
      if (started(video)) seen.waits.push({ type, ...at() })
      if (type === 'error') seen.errors.push({ source: 'video', detail: video.error?.message ?? 'unknown', fatal: true })
    })
  }
  video.addEventListener('playing', () => { seen.playing ||= performance.now() })
  return { video, seen }
}

/** Playback has begun: what interrupts it from here on, a viewer sees. */
function started (video) {
  const p = video.played
  return Array.from({ length: p.length }, (_, i) => p.end(i) - p.start(i)).reduce((sum, s) => sum + s, 0) > 0.25
}

function ranges (video) {
  const b = video.buffered
  return Array.from({ length: b.length }, (_, i) => [b.start(i), b.end(i)])
}

/** Starts a player of a kind (see kinds.mjs); name is what state() knows it by. */
window.play = async (name, kind, url, options = {}) => {
  const it = element()
  shown.set(name, it)
  const fail = error => it.seen.errors.push({ source: kind, detail: `${error}`, fatal: true })
  try {
    it.player = await kinds[kind](it.video, it.seen, url, options)
    await it.video.play()
  } catch (error) {
    fail(error)
  }
}

/** Notes from now on how old the clock in each picture is. */
window.watchClock = (name, epoch) => {
  const { video, seen } = shown.get(name)
  readClock(video, seen.clock, epoch)
}

window.state = name => {
  const { video, seen, player } = shown.get(name)
  const quality = video.getVideoPlaybackQuality()
  return {
    ...seen,
    ...player?.(),
    now: performance.now(),
    time: video.currentTime,
    rate: video.playbackRate,
    paused: video.paused,
    readyState: video.readyState,
    width: video.videoWidth,
    height: video.videoHeight,
    frames: quality.totalVideoFrames,
    dropped: quality.droppedVideoFrames,
    corrupted: quality.corruptedVideoFrames,
    audioBytes: video.webkitAudioDecodedByteCount,
    buffered: ranges(video)
  }
}

/** What this browser decodes, by the type of a source buffer. */
window.decodes = type => MediaSource.isTypeSupported(type)
window.canPlay = type => document.createElement('video').canPlayType(type)
