// hls.js, mpegts.js and the browser's own player play what ffmpeg pushes, in a
// real Chromium, from a page of another origin.
import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { launch, open } from '../lib/browser.mjs'
import { build, serve } from '../lib/headwater.mjs'
import { stop } from '../lib/process.mjs'
import { site } from '../lib/site.mjs'
import { encode, FRAME_RATE, HEIGHT, push, WIDTH } from '../lib/source.mjs'

const WATCH = 10 // seconds a player is watched once it plays
const SOURCE = 300 // seconds of source, more than all cases take together

let dir, origin, page, browser
const publishers = []

before(async () => {
  dir = await mkdtemp(join(tmpdir(), 'headwater-players-'))
  const [binary, files] = await Promise.all([build(dir), encode(dir, SOURCE)])
  origin = await serve(binary)
  page = await site()
  for (const kind of Object.keys(files)) publishers.push(push(files[kind], origin.publish(kind)))
  browser = await launch()
}, { timeout: 120000 })

after(async () => {
  await browser?.close()
  await page?.close()
  await Promise.all(publishers.map(p => stop(p, 'SIGKILL')))
  await origin?.close()
  if (dir) await rm(dir, { recursive: true, force: true })
}, { timeout: 60000 })

/** Plays url in a tab of its own and returns the page's states: once it plays, then twice a second. */
async function watch (kind, url, options) {
  const tab = await open(browser, page.url)
  try {
    await tab.play('it', kind, url, options)
    await tab.playing('it')
    const states = [await tab.state('it')]
    while (states.at(-1).now - states[0].now < WATCH * 1000) {
      await sleep(500)
      states.push(await tab.state('it'))
    }
    return { states, said: tab.said, first: states[0], last: states.at(-1) }
  } finally {
    await tab.close()
  }
}

/**
 * Whether the machine may have had no time for the browser: nothing but stalls and late answers is reported, and
 * pictures, where there are any, were dropped in numbers. Such a run says nothing of the server and is repeated; if it is
 * ours, it happens every time.
 */
function starved ({ first, last }) {
  const late = last.errors.filter(e => !e.fatal && ['bufferStalledError', 'levelLoadTimeOut'].includes(e.detail))
  return late.length === last.errors.length && late.length + last.waits.length > 0 &&
    (last.frames === 0 || last.dropped - first.dropped > FRAME_RATE / 2)
}

/** What holds for every player and every stream. */
function assertPlays ({ states, said, first, last }, picture) {
  assert.deepEqual(last.errors, [], 'the player reports errors')
  assert.deepEqual(last.waits, [], 'playback was interrupted')
  assert.deepEqual(said, [], 'the browser reports errors')
  assert.equal(last.paused, false)
  const real = (last.now - first.now) / 1000
  const played = last.time - first.time
  assert.ok(Math.abs(played - real) < 1 + 0.05 * real, `${played} s were played in ${real} s`)
  for (let i = 1; i < states.length; i++) {
    assert.ok(states[i].time >= states[i - 1].time, `time goes back from ${states[i - 1].time} to ${states[i].time}`)
  }
  assert.ok(last.audioBytes > first.audioBytes, 'no sound is decoded')
  if (!picture) return
  assert.deepEqual([last.width, last.height], [WIDTH, HEIGHT])
  assert.equal(last.corrupted, 0)
  const frames = last.frames - first.frames
  assert.ok(frames > 0.8 * FRAME_RATE * real, `${frames} pictures in ${real} s`)
}

const cases = [
  { name: 'hls.js, fMP4', kind: 'hls', path: '/live/av.m3u8', picture: true },
  { name: 'hls.js, MPEG-TS', kind: 'hls', path: '/live/av.ts.m3u8', picture: true },
  { name: 'mpegts.js, FLV', kind: 'flv', path: '/live/av.flv', picture: true },
  { name: 'mpegts.js without stash, FLV', kind: 'flv', path: '/live/av.flv', picture: true, options: { enableStashBuffer: false } },
  { name: 'hls.js, fMP4, sound only', kind: 'hls', path: '/live/audio.m3u8' },
  { name: 'hls.js, MPEG-TS, sound only', kind: 'hls', path: '/live/audio.ts.m3u8' },
  { name: 'mpegts.js, FLV, sound only', kind: 'flv', path: '/live/audio.flv', options: { hasVideo: false } },
  { name: 'hls.js, MP3', kind: 'hls', path: '/live/mp3.m3u8', picture: true },
  { name: 'mpegts.js, FLV with MP3', kind: 'flv', path: '/live/mp3.flv', picture: true },
  { name: 'the browser itself, fMP4', kind: 'native', path: '/live/av.m3u8', picture: true }
]

describe('players', { concurrency: 3 }, () => {
  for (const { name, kind, path, picture, options } of cases) {
    test(name, { timeout: 150000 }, async t => {
      if (kind === 'native' && !await playsHLS()) return t.skip('this browser does not play HLS by itself')
      let seen
      for (let attempt = 1; attempt <= 3; attempt++) {
        seen = await watch(kind, origin.url(path), options)
        if (!starved(seen)) break
        t.diagnostic(`attempt ${attempt}: ${seen.last.waits.length} interruptions, ${seen.last.dropped} pictures dropped`)
      }
      t.diagnostic(`latency ${seen.last.latency ?? '-'} s, ${seen.last.frames} pictures, ${seen.last.dropped} dropped, buffered ${JSON.stringify(seen.last.buffered)}`)
      assertPlays(seen, picture)
    })
  }
})

async function playsHLS () {
  const tab = await open(browser, page.url)
  try {
    return await tab.evaluate(() => window.canPlay('application/vnd.apple.mpegurl')) !== ''
  } finally {
    await tab.close()
  }
}
