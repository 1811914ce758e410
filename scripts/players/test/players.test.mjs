// Players play what ffmpeg and others push, in a real Chromium, from a page of
// another origin.
import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { launch, open } from '../lib/browser.mjs'
import { buildPusher, ENHANCED, pushEnhanced, pushFrames } from '../lib/enhanced.mjs'
import { build, serve } from '../lib/headwater.mjs'
import { watchMachine } from '../lib/machine.mjs'
import { stop } from '../lib/process.mjs'
import { site } from '../lib/site.mjs'
import { encode, push, SHAPES } from '../lib/source.mjs'

const WATCH = 5 // seconds a player is watched once it plays
const SOURCE = 300 // seconds of source, more than all cases take together

let dir, files, pusher, origin, page, browser
const publishers = []

before(async () => {
  dir = await mkdtemp(join(tmpdir(), 'headwater-players-'))
  let binary
  ;[binary, files, pusher] = await Promise.all([build(dir), encode(dir, SOURCE), buildPusher(dir)])
  origin = await serve(binary)
  page = await site()
  for (const name of Object.keys(files)) if (name !== 'film') publishers.push(push(files[name], origin.publish(name)))
  publishers.push(pushFilm('film', '-early', '600ms'))
  for (const name of Object.keys(ENHANCED)) publishers.push(pushEnhanced(pusher, name, origin.publish(name)))
  browser = await launch()
  for (const name of [...Object.keys(files), ...Object.keys(ENHANCED)]) await started(name)
}, { timeout: 120000 })

after(async () => {
  await browser?.close()
  await page?.close()
  await Promise.all(publishers.map(p => stop(p, 'SIGKILL')))
  await origin?.close()
  if (dir) await rm(dir, { recursive: true, force: true })
}, { timeout: 60000 })

/** Publishes 23.976 pictures a second with pushflv's options. */
const pushFilm = (name, ...options) => pushFrames(pusher, files.film, origin.publish(name), '24000/1001', '44100/1024', ...options)

/** Waits until a stream's playlist is of its usual length. */
async function started (name, segments = 4) {
  for (const end = Date.now() + 60000; Date.now() < end; await sleep(200)) {
    const response = await fetch(origin.url(`/live/${name}/fmp4/index.m3u8`))
    if (response.ok && (await response.text()).split('#EXTINF').length > segments) return
  }
  throw new Error(`${name} does not begin: ${publishers.map(p => p.log)}`)
}

/** Does something with a tab of its own. */
async function inTab (what) {
  const tab = await open(browser, page.url)
  try {
    return await what(tab)
  } finally {
    await tab.close()
  }
}

/**
 * Plays url and returns the page's states: once it plays, then twice a second until it was for long enough, and not
 * before a time; and whether the machine was busy meanwhile.
 */
const watch = (kind, url, options, until = 0) => inTab(async tab => {
  const machine = watchMachine()
  await tab.play('it', kind, url, options)
  await tab.playing('it')
  const states = [await tab.state('it')]
  while (states.at(-1).now - states[0].now < WATCH * 1000 || Date.now() < until) {
    await sleep(500)
    states.push(await tab.state('it'))
  }
  return { states, said: tab.said, first: states[0], last: states.at(-1), busy: machine.busy(), worst: machine.worst() }
})

/** What a player says of itself while it seeks its place: it is no error that it found it in the second try. */
const begins = e => !e.fatal && !e.playing && e.detail === 'bufferSeekOverHole'

/** Playback rested with media ahead of it: the browser had no time, and nobody else could have helped it. */
const rested = w => w.type === 'waiting' && w.ranges.some(([start, end]) => start <= w.time && w.time < end - 0.5)

/**
 * Whether the machine may have had no time for the browser. Nothing but stalls and late answers is reported, and either
 * other processes had to wait too, or pictures were dropped in numbers, or playback rested with media ahead; or playback
 * had only just begun, which players do near the end of what they have. Such a run
 * says nothing of the server and is repeated; if it is ours, it happens every time.
 */
function starved ({ first, last, busy }, { rate }) {
  const late = last.errors.filter(e => !e.fatal && ['bufferStalledError', 'bufferNudgeOnStall', 'levelLoadTimeOut'].includes(e.detail))
  return late.length === last.errors.length && late.length + last.waits.length > 0 &&
    (busy || last.waits.some(rested) || (rate && last.dropped - first.dropped > rate / 2) || late.every(e => e.playing && e.at < 1000))
}

/** What holds for every player and every stream. A player that is sparse shows some pictures of each second at least. */
function assertPlays ({ states, said, first, last }, shape, sparse = false) {
  assert.deepEqual(last.errors.filter(e => !begins(e)), [], 'the player reports errors')
  assert.deepEqual(last.waits.filter(w => !rested(w)), [], 'playback was interrupted')
  assert.deepEqual(said, [], 'the browser reports errors')
  assert.equal(last.paused, false)
  const real = (last.now - first.now) / 1000
  const played = last.time - first.time
  assert.ok(Math.abs(played - real) < 1 + 0.05 * real, `${played} s were played in ${real} s`)
  for (let i = 1; i < states.length; i++) {
    assert.ok(states[i].time >= states[i - 1].time, `time goes back from ${states[i - 1].time} to ${states[i].time}`)
  }
  if (shape.sound) assert.ok(last.audioBytes > first.audioBytes, 'no sound is decoded')
  if (!shape.rate) return
  assert.deepEqual([last.width, last.height], [shape.width, shape.height])
  assert.equal(last.corrupted, 0)
  const frames = last.frames - first.frames
  const least = sparse ? 1 : 0.8 * shape.rate
  assert.ok(frames > least * real, `${frames} pictures in ${real} s`)
}

/** Plays and says how; repeats what the machine had no time for. */
async function plays (t, kind, path, shape, options, sparse) {
  let seen
  for (let attempt = 1; attempt <= 3; attempt++) {
    seen = await watch(kind, origin.url(path), options)
    if (!starved(seen, shape)) break
    t.diagnostic(`attempt ${attempt}: ${seen.last.waits.length} interruptions, ${seen.last.dropped} pictures dropped, this process ${Math.round(seen.worst)} ms late`)
  }
  t.diagnostic(`latency ${seen.last.latency ?? '-'} s, ${seen.last.frames} pictures, ${seen.last.dropped} dropped, buffered ${JSON.stringify(seen.last.buffered)}`)
  assertPlays(seen, shape, sparse)
}

/**
 * What plays HLS, and the streams that each is shown: each kind of stream to some player, and with
 * PLAYERS_ALL set the rest as well, which takes twice as long.
 */
const players = [
  { name: 'hls.js, fMP4 with low latency', kind: 'hls', ext: 'm3u8', streams: 'film audio mp3', more: 'av ntsc video', options: { lowLatencyMode: true } },
  { name: 'hls.js, fMP4', kind: 'hls', ext: 'm3u8', streams: 'av', more: 'film', options: { lowLatencyMode: false } },
  { name: 'hls.js, MPEG-TS', kind: 'hls', ext: 'ts.m3u8', streams: 'ntsc', more: 'av film audio video' },
  { name: 'Shaka, fMP4 with low latency', kind: 'shaka', ext: 'm3u8', streams: 'video av1_opus', more: 'av ntsc film audio av1_aac', options: { streaming: { lowLatencyMode: true } } },
  { name: 'Shaka, fMP4', kind: 'shaka', ext: 'm3u8', streams: 'av', more: 'film' },
  { name: 'Shaka, MPEG-TS', kind: 'shaka', ext: 'ts.m3u8', streams: 'av audio', more: 'ntsc film video' },
  // It begins in the middle of the newest segment, and puts the initialization section in front of each part until a
  // playlist has two that are new to it: after one the browser drops all up to the next key frame. Sound and time go on.
  { name: 'video.js, fMP4 with low latency', kind: 'videojs', ext: 'm3u8', streams: 'ntsc', more: 'av film audio video', sparse: true },
  { name: 'video.js, fMP4', kind: 'videojs', ext: 'm3u8', streams: 'av1_aac', more: 'av film av1_opus', options: { llhls: false } },
  { name: 'video.js, MPEG-TS', kind: 'videojs', ext: 'ts.m3u8', streams: 'film', more: 'av ntsc audio video' },
  { name: 'the browser itself, fMP4', kind: 'native', ext: 'm3u8', streams: 'av', more: '' }
]

const ALL = Boolean(process.env.PLAYERS_ALL)

const cases = [
  ...players.flatMap(({ name, kind, ext, streams, more, options, sparse }) =>
    `${streams} ${ALL ? more : ''}`.split(' ').filter(Boolean).map(stream => ({ name: `${name}: ${stream}`, kind, path: `${stream}.${ext}`, options, sparse }))),
  { name: 'mpegts.js, FLV', kind: 'flv', path: 'av.flv' },
  { name: 'mpegts.js without stash, FLV', kind: 'flv', path: 'av.flv', options: { enableStashBuffer: false } },
  { name: 'mpegts.js, FLV over a WebSocket', kind: 'flv', path: 'av.flv', options: { socket: true } },
  { name: 'mpegts.js, MPEG-TS over HTTP', kind: 'flv', path: 'av.ts', options: { type: 'mpegts' } },
  { name: 'mpegts.js, FLV, sound only', kind: 'flv', path: 'audio.flv', options: { hasVideo: false } },
  { name: 'mpegts.js, FLV with MP3', kind: 'flv', path: 'mp3.flv' }
]

/** What is known of a stream. */
const shapeOf = stream => SHAPES[stream] ?? { ...ENHANCED[stream], sound: true }

describe('players', { concurrency: 3 }, () => {
  for (const { name, kind, path, options, sparse } of cases) {
    test(name, { timeout: 150000 }, async t => {
      const can = kind !== 'native' || await inTab(tab => tab.evaluate(() => window.canPlay('application/vnd.apple.mpegurl')))
      if (!can) return t.skip('this browser does not play HLS by itself')
      await plays(t, kind, `/live/${path}`, shapeOf(path.split('.')[0]), options, sparse)
    })
  }
  for (const [name, { codecs, ...shape }] of Object.entries(ENHANCED)) {
    test(`hls.js, ${name}`, { timeout: 150000 }, async t => {
      const decodes = await inTab(tab => tab.evaluate(type => window.decodes(type), `video/mp4;codecs="${codecs}"`))
      if (decodes) return await plays(t, 'hls', `/live/${name}.m3u8`, { ...shape, sound: true })
      t.diagnostic(`this browser does not decode ${codecs}`)
      await inTab(tab => refuses(tab, origin.url(`/live/${name}.m3u8`)))
    })
  }
})

// MPEG-TS counts 33 bits of 90 kHz: 26.5 hours.
test('clocks that wrap', { timeout: 150000 }, async t => {
  const ahead = 14 // seconds of media before that
  const behind = 10 // what the player furthest behind is behind
  const wrapping = players.filter(p => (ALL ? / with low latency|MPEG-TS/ : /hls.js, (fMP4 with|MPEG-TS)|Shaka, MPEG-TS/).test(p.name))
  for (let attempt = 1; ; attempt++) {
    const name = `wrap${attempt}`
    const published = Date.now()
    const publisher = pushFilm(name, '-start', `${Math.floor(2 ** 33 / 90) - ahead * 1000}`)
    publishers.push(publisher)
    await started(name, 3)
    const all = await Promise.all(wrapping.map(({ kind, ext, options }) =>
      watch(kind, origin.url(`/live/${name}.${ext}`), options, published + (ahead + behind) * 1000)))
    await stop(publisher, 'SIGKILL')
    if (attempt < 3 && all.some(seen => starved(seen, SHAPES.film))) {
      t.diagnostic(`attempt ${attempt}: the machine was busy`)
      continue
    }
    for (const [i, seen] of all.entries()) {
      t.diagnostic(`${wrapping[i].name}: ${JSON.stringify(seen.last.buffered)}`)
      assert.ok(seen.last.time - seen.first.time > WATCH, wrapping[i].name)
      assertPlays(seen, SHAPES.film, wrapping[i].sparse)
    }
    return
  }
})

/** A player that cannot decode a stream sees so from its playlist, and says that and nothing else. */
async function refuses (tab, url) {
  await tab.play('it', 'hls', url)
  for (const end = Date.now() + 20000; (await tab.state('it')).errors.length === 0; await sleep(100)) {
    assert.ok(Date.now() < end, 'it neither plays nor refuses')
  }
  const { errors } = await tab.state('it')
  assert.deepEqual(errors.filter(e => e.source === 'hls.js').map(e => [e.detail, e.fatal]), [['manifestIncompatibleCodecsError', true]])
  assert.deepEqual(tab.said, [], 'the browser reports errors')
}
