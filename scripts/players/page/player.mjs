// Runs in the browser. play() starts one player on the page's video element;
// state() says how it is doing. Everything a viewer would notice is kept.
/* global Hls, mpegts */

const video = document.getElementById('video')
const seen = { errors: [], waits: [], playing: 0, hls: {} }

for (const type of ['waiting', 'error', 'ended', 'pause']) {
  video.addEventListener(type, () => {
    if (started()) seen.waits.push({ type, at: performance.now() - seen.playing, time: video.currentTime, ranges: ranges() })
    if (type === 'error') seen.errors.push({ source: 'video', detail: video.error?.message ?? 'unknown' })
  })
}
video.addEventListener('playing', () => { seen.playing ||= performance.now() })

/** Playback has begun: what interrupts it from here on, a viewer sees. */
function started () {
  return video.played.length > 0 && video.played.end(0) - video.played.start(0) > 0.25
}

function ranges () {
  const b = video.buffered
  return Array.from({ length: b.length }, (_, i) => [b.start(i), b.end(i)])
}

const players = {
  hls (url, options) {
    const hls = new Hls(options)
    hls.on(Hls.Events.ERROR, (_event, data) => {
      seen.errors.push({ source: 'hls.js', type: data.type, detail: data.details, fatal: data.fatal, reason: `${data.reason ?? data.error ?? ''}`, url: data.url })
    })
    hls.on(Hls.Events.MANIFEST_PARSED, (_event, data) => {
      seen.hls.levels = data.levels.map(l => ({ width: l.width, height: l.height, video: l.videoCodec, audio: l.audioCodec }))
    })
    hls.on(Hls.Events.LEVEL_UPDATED, (_event, data) => {
      seen.hls.latency = hls.latency
      seen.hls.live = data.details.live
      seen.hls.drift = data.details.drift
    })
    hls.loadSource(url)
    hls.attachMedia(video)
  },
  flv (url, { hasVideo = true, ...config }) {
    const player = mpegts.createPlayer({ type: 'flv', isLive: true, url, hasVideo, hasAudio: true }, config)
    player.on(mpegts.Events.ERROR, (type, detail, info) => {
      seen.errors.push({ source: 'mpegts.js', type, detail, reason: info?.msg, fatal: true })
    })
    player.on(mpegts.Events.LOADING_COMPLETE, () => seen.errors.push({ source: 'mpegts.js', detail: 'the stream ended' }))
    player.attachMediaElement(video)
    player.load()
  },
  native (url) {
    video.src = url
  }
}

window.play = async (kind, url, options = {}) => {
  players[kind](url, options)
  try {
    await video.play()
  } catch (error) {
    seen.errors.push({ source: 'play', detail: `${error}` })
  }
}

window.state = () => {
  const quality = video.getVideoPlaybackQuality()
  return {
    ...seen,
    now: performance.now(),
    time: video.currentTime,
    paused: video.paused,
    readyState: video.readyState,
    width: video.videoWidth,
    height: video.videoHeight,
    frames: quality.totalVideoFrames,
    dropped: quality.droppedVideoFrames,
    corrupted: quality.corruptedVideoFrames,
    audioBytes: video.webkitAudioDecodedByteCount,
    buffered: ranges()
  }
}

window.canPlay = type => video.canPlayType(type)
