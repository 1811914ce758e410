// The players, each as its documentation says to use it. Each function starts one
// and may return a function that tells more of its state.
/* global Hls, mpegts, shaka, videojs */

const scripts = new Map()

/** Loads a script once. */
function script (src) {
  if (!scripts.has(src)) {
    scripts.set(src, new Promise((resolve, reject) => {
      const s = document.createElement('script')
      s.src = src
      s.onload = resolve
      s.onerror = () => reject(new Error(`${src} does not load`))
      document.head.append(s)
    }))
  }
  return scripts.get(src)
}

async function hls (video, seen, url, options) {
  await script('/hls.js')
  const player = new Hls(options)
  player.on(Hls.Events.ERROR, (_event, data) => {
    seen.errors.push({
      source: 'hls.js', type: data.type, detail: data.details, fatal: data.fatal, at: performance.now() - seen.playing,
      playing: seen.playing > 0, reason: `${data.reason ?? data.error ?? ''}`, url: data.url, status: data.response?.code
    })
  })
  player.on(Hls.Events.MANIFEST_PARSED, (_event, data) => {
    seen.levels = data.levels.map(l => ({ width: l.width, height: l.height, video: l.videoCodec, audio: l.audioCodec }))
  })
  player.loadSource(url)
  player.attachMedia(video)
  return () => ({ latency: player.latency, target: player.targetLatency })
}

async function flv (video, seen, url, { type = 'flv', socket = false, hasVideo = true, hasAudio = true, ...config }) {
  await script('/mpegts.js')
  if (socket) url = url.replace(/^http/, 'ws')
  const player = mpegts.createPlayer({ type, isLive: true, url, hasVideo, hasAudio }, config)
  player.on(mpegts.Events.ERROR, (type, detail, info) => {
    seen.errors.push({ source: 'mpegts.js', type, detail, reason: info?.msg, fatal: true })
  })
  player.on(mpegts.Events.LOADING_COMPLETE, () => seen.errors.push({ source: 'mpegts.js', detail: 'the stream ended', fatal: true }))
  player.attachMediaElement(video)
  player.load()
}

async function shakaPlayer (video, seen, url, options) {
  await script('/shaka-player.js')
  const player = new shaka.Player()
  player.addEventListener('error', ({ detail: e }) => {
    seen.errors.push({ source: 'shaka', detail: `${e.code} ${JSON.stringify(e.data)}`, fatal: e.severity === shaka.util.Error.Severity.CRITICAL })
  })
  await player.attach(video)
  player.configure(options)
  await player.load(url)
  return () => ({ latency: player.getStats().liveLatency, live: player.isLive() })
}

async function videoJS (video, seen, url, options) {
  await script('/video.js')
  video.className = 'video-js'
  const player = videojs(video, { html5: { vhs: { overrideNative: true, ...options } } })
  player.on('error', () => seen.errors.push({ source: 'video.js', detail: player.error()?.message, fatal: true }))
  await new Promise(resolve => player.ready(resolve))
  player.src({ src: url, type: 'application/vnd.apple.mpegurl' })
  return () => ({ live: player.duration() === Infinity })
}

async function native (video, _seen, url) {
  video.src = url
}

export const kinds = { hls, flv, shaka: shakaPlayer, videojs: videoJS, native }
