// How old a picture is when a viewer sees it: from the encoder, which draws the
// time into it, to the browser or ffmpeg, where it is read.
import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { launch, open } from '../lib/browser.mjs'
import { pullClock, pushClock, RATE } from '../lib/clock.mjs'
import { build, serve } from '../lib/headwater.mjs'
import { watchMachine } from '../lib/machine.mjs'
import { site } from '../lib/site.mjs'

const SECONDS = Number(process.env.PLAYERS_LATENCY_SECONDS ?? 10) // of watching
const SETTLE = 10 // seconds in which players that began too far behind catch up

const viewers = [
  { name: 'hls.js, fMP4 with low latency', kind: 'hls', path: '/live/c.m3u8', options: { lowLatencyMode: true, maxLiveSyncPlaybackRate: 1.5 }, limit: 1500 },
  // Thin: it has less ahead than a busy machine keeps the encoder waiting, so that a stall is reported and no failure.
  { name: 'mpegts.js, FLV', kind: 'flv', path: '/live/c.flv', options: { enableStashBuffer: false, liveSync: true, liveSyncMaxLatency: 0.6, liveSyncTargetLatency: 0.35 }, limit: 700, thin: true },
  // As it is: it stays where the time that it took to begin has put it.
  { name: 'hls.js without settings, fMP4', kind: 'hls', path: '/live/c.m3u8' }
]

let dir, origin, page, browser, publisher
const epoch = Date.now()

before(async () => {
  dir = await mkdtemp(join(tmpdir(), 'headwater-latency-'))
  origin = await serve(await build(dir))
  page = await site()
  browser = await launch()
  publisher = pushClock(origin.publish('c'), epoch)
}, { timeout: 120000 })

after(async () => {
  await browser?.close()
  await page?.close()
  await publisher?.close()
  await origin?.close()
  if (dir) await rm(dir, { recursive: true, force: true })
}, { timeout: 60000 })

/** Decodes with ffmpeg for a while and returns what it has seen. */
async function pull () {
  const viewer = pullClock(origin.url('/live/c.flv'), epoch)
  await sleep(4000) // it begins, with what the server has
  const first = viewer.ages.length
  await sleep(3000)
  await viewer.close()
  return { name: 'ffmpeg, FLV', limit: 200, seconds: 3, ...read(viewer.ages.slice(first)), waits: [], errors: [], fatal: [], dropped: 0 }
}

/** Plays all viewers side by side and returns what each has seen after it settled, and how late the encoder was. */
async function watch () {
  const seen = [await pull()]
  const tab = await open(browser, page.url)
  try {
    for (const { name, kind, path, options } of viewers) {
      await tab.play(name, kind, origin.url(path), options)
      await tab.playing(name)
      await tab.evaluate(([name, epoch]) => window.watchClock(name, epoch), [name, epoch])
    }
    await sleep(SETTLE * 1000)
    publisher.late()
    const machine = watchMachine()
    const before = new Map()
    for (const { name } of viewers) before.set(name, await tab.state(name))
    await sleep(SECONDS * 1000)
    const late = publisher.late()
    const busy = machine.busy()
    for (const viewer of viewers) {
      const first = before.get(viewer.name)
      const last = await tab.state(viewer.name)
      seen.push({
        ...viewer,
        seconds: SECONDS,
        ...read(last.clock.slice(first.clock.length).map(picture => picture.age)),
        waits: last.waits.slice(first.waits.length),
        errors: last.errors.slice(first.errors.length),
        fatal: last.errors.filter(e => e.fatal),
        dropped: last.dropped - first.dropped
      })
    }
    return { seen, late, busy, said: tab.said }
  } finally {
    await tab.close()
  }
}

/** The ages that could be read, youngest first, and how many could not. */
function read (all) {
  const ages = all.filter(age => age !== null).sort((a, b) => a - b)
  return { ages, unread: all.length - ages.length }
}

const quantile = (sorted, q) => sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))]

/** Whether the machine had no time: this process or the encoder's pictures were late, or many could not be shown. */
const starved = ({ seen, late, busy }) => busy || late > 100 || seen.some(s => s.dropped > SECONDS * RATE / 20)

test(`latency over ${SECONDS} s`, { timeout: 3 * (SECONDS + SETTLE + 60) * 1000 }, async t => {
  for (const end = Date.now() + 20000; !(await fetch(origin.url('/live/c.m3u8'))).ok; await sleep(200)) {
    assert.ok(Date.now() < end, `no stream: ${publisher.log()}`)
  }
  const failures = result => {
    try {
      assertNear(result)
      return null
    } catch (error) {
      return error
    }
  }
  let result, failure
  for (let attempt = 1; attempt <= 3; attempt++) {
    result = await watch()
    for (const s of result.seen) {
      t.diagnostic(`${s.name}: median ${quantile(s.ages, 0.5)} ms, 95 % ${quantile(s.ages, 0.95)} ms, at most ${s.ages.at(-1)} ms, ` +
        `${s.waits.length} stalls, ${s.dropped} of ${s.ages.length} dropped; the encoder was ${Math.round(result.late)} ms late`)
    }
    failure = failures(result)
    if (!failure || !starved(result)) break
    t.diagnostic(`attempt ${attempt}: the machine is too busy to tell`)
  }
  if (failure) throw failure
})

function assertNear ({ seen, said }) {
  assert.deepEqual(said, [], 'the browser reports errors')
  for (const { name, seconds, ages, unread, waits, errors, fatal, limit, thin } of seen) {
    assert.deepEqual(fatal, [], name)
    assert.ok(ages.length > 0.8 * RATE * seconds, `${name}: ${ages.length} pictures in ${seconds} s`)
    assert.ok(unread < 0.01 * ages.length, `${name}: ${unread} clocks could not be read`)
    if (!limit) continue
    if (!thin) assert.deepEqual(waits, [], `${name} stalls`)
    assert.deepEqual(errors, [], name)
    assert.ok(quantile(ages, 0.5) < limit, `${name}: median ${quantile(ages, 0.5)} ms`)
    assert.ok(quantile(ages, 0.95) < limit, `${name}: 95 % ${quantile(ages, 0.95)} ms`)
  }
}
