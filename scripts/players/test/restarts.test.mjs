// What a viewer sees when the publisher or the server dies and comes back:
// players play on by themselves, and nobody loads the page again.
import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { launch, open } from '../lib/browser.mjs'
import { build, serve } from '../lib/headwater.mjs'
import { stop } from '../lib/process.mjs'
import { readFLV, readPlaylist, sequence } from '../lib/readers.mjs'
import { site } from '../lib/site.mjs'
import { encode, keepPushing, push } from '../lib/source.mjs'

const RESTARTS = 20

let dir, binary, files, page, browser

before(async () => {
  dir = await mkdtemp(join(tmpdir(), 'headwater-restarts-'))
  ;[binary, files] = await Promise.all([build(dir), encode(dir, 120, ['av'])])
  page = await site()
  browser = await launch()
}, { timeout: 120000 })

after(async () => {
  await browser?.close()
  await page?.close()
  if (dir) await rm(dir, { recursive: true, force: true })
}, { timeout: 60000 })

/** Waits until done() is true; late() says what was missing. */
async function until (ms, done, late) {
  for (const end = Date.now() + ms; !await done(); await sleep(100)) {
    if (Date.now() > end) throw new Error(`not within ${ms} ms: ${await late()}`)
  }
}

/** Waits until a player plays on: its time goes forward by some seconds, as fast as a clock, without a rest. */
async function playsOn (tab, name, timeout = 30000) {
  const seconds = 4
  let from = await tab.state(name)
  let last = from
  await until(timeout, async () => {
    const s = await tab.state(name)
    if (s.paused || s.time <= last.time || s.waits.length > from.waits.length) from = s
    last = s
    return s.time - from.time >= seconds && s.frames > from.frames
  }, async () => `${name} plays on: ${JSON.stringify(await tab.state(name))} ${tab.said}`)
  return last
}

const fatal = state => state.errors.filter(e => e.fatal)
const summary = state => JSON.stringify(state.errors.reduce((n, e) => ({ ...n, [e.detail]: (n[e.detail] ?? 0) + 1 }), {}))

/** Waits until there is enough of a stream to be watched. */
const watchable = (list, origin) => until(30000, () => list.segments.size >= 3, () => `three segments: ${origin.log()}`)

const newest = list => Math.max(...list.segments.keys())

/** Waits until a list has segments behind one of before a restart, and is as more() wants it. */
const listGoesOn = (list, before, more = () => true) => until(30000, () => newest(list) > before && more(),
  () => `the playlist goes on: ${JSON.stringify([...list.segments])}`)

/** Checks that a player plays on by itself behind a restart. */
async function survives (t, tab, name, killed, timeout) {
  const stood = await tab.state(name)
  const state = await playsOn(tab, name, timeout)
  t.diagnostic(`${name}: plays on within ${Date.now() - killed} ms, errors ${summary(state)}, latency ${state.latency} s`)
  assert.ok(state.time > stood.time)
  assert.deepEqual(fatal(state), [])
}

/** Checks that nobody loaded the page again, and that the list was right all the time. Closes the list. */
async function unbroken (tab, list) {
  assert.equal(tab.loads(), 1, 'the page was loaded again')
  await list.close()
  assert.deepEqual(list.wrong, [])
  assert.equal(list.ended, false)
}

describe('restarts', { concurrency: 3 }, () => {
  test(`a publisher is killed ${RESTARTS} times`, { timeout: 240000 }, async t => {
    const origin = await serve(binary)
    let publisher = push(files.av, origin.publish('x'))
    await until(20000, async () => (await fetch(origin.url('/live/x.m3u8'))).ok, () => `a stream: ${publisher.log}`)
    const flv = readFLV(origin.url('/live/x.flv'))
    const lists = ['fmp4', 'ts'].map(kind => readPlaylist(origin.url(`/live/x/${kind}/index.m3u8`)))
    const tab = await open(browser, page.url)
    const viewers = { 'fMP4 with low latency': ['hls', '/live/x.m3u8', { lowLatencyMode: true }], TS: ['hls', '/live/x.ts.m3u8'], FLV: ['flv', '/live/x.flv'] }
    try {
      for (const [name, [kind, path, options]] of Object.entries(viewers)) await tab.play(name, kind, origin.url(path), options)
      for (const name of Object.keys(viewers)) await tab.playing(name)
      const began = Date.now()
      for (let i = 0; i < RESTARTS; i++) {
        const from = flv.media
        await until(20000, () => {
          assert.equal(flv.ended, null, `the FLV connection, publisher ${i}`)
          return flv.media >= from + 1200
        }, () => `media of publisher ${i}: ${JSON.stringify(flv)}`)
        await stop(publisher, 'SIGKILL')
        await sleep(200 + 1800 * i / (RESTARTS - 1))
        publisher = push(files.av, origin.publish('x'))
      }
      t.diagnostic(`${RESTARTS} restarts in ${((Date.now() - began) / 1000).toFixed(1)} s`)
      for (const list of lists) {
        await until(20000, () => list.discontinuities() >= RESTARTS, () => `${list.discontinuities()} discontinuities`)
      }
      for (const name of Object.keys(viewers)) {
        const state = await playsOn(tab, name)
        t.diagnostic(`${name}: ${state.waits.length} interruptions, errors ${summary(state)}, latency ${state.latency ?? '-'} s`)
        assert.deepEqual(fatal(state), [], name)
      }
      assert.equal(tab.loads(), 1, 'the page was loaded again')
      const media = flv.media
      await until(10000, () => flv.media > media + 1000, () => 'more on the FLV connection')
      assert.equal(flv.ended, null, 'the FLV connection')
      assert.deepEqual(flv.back, [], 'time goes back in FLV')
      for (const list of lists) {
        await list.close()
        assert.deepEqual(sequence(list), [])
        assert.deepEqual(list.failed, [])
        assert.equal(list.ended, false)
        assert.equal(list.discontinuities(), RESTARTS)
      }
    } finally {
      await Promise.all([tab.close(), stop(publisher, 'SIGKILL'), ...lists.map(l => l.close())])
      flv.close()
      await origin.close()
    }
  })

  test('a publisher is killed under the other players', { timeout: 120000 }, async t => {
    const origin = await serve(binary)
    let publisher = push(files.av, origin.publish('x'))
    const list = readPlaylist(origin.url('/live/x/fmp4/index.m3u8'))
    const viewers = {
      'hls.js, fMP4': ['hls', 'm3u8', { lowLatencyMode: false }],
      'Shaka, fMP4 with low latency': ['shaka', 'm3u8', { streaming: { lowLatencyMode: true } }],
      'Shaka, MPEG-TS': ['shaka', 'ts.m3u8', { manifest: { hls: { ignoreManifestProgramDateTime: true } } }], // see players.md
      'video.js, fMP4 with low latency': ['videojs', 'm3u8'],
      'video.js, fMP4': ['videojs', 'm3u8', { llhls: false }],
      'video.js, MPEG-TS': ['videojs', 'ts.m3u8']
    }
    const names = Object.keys(viewers)
    const tabs = {}
    try {
      await until(30000, () => list.segments.size >= 4, () => `four segments: ${origin.log()}`)
      await Promise.all(names.map(async name => {
        const [kind, ext, options] = viewers[name]
        tabs[name] = await open(browser, page.url)
        await tabs[name].play(name, kind, origin.url(`/live/x.${ext}`), options)
        await tabs[name].playing(name)
      }))
      await stop(publisher, 'SIGKILL')
      const killed = Date.now()
      publisher = push(files.av, origin.publish('x'))
      await until(20000, () => list.discontinuities() > 0, () => 'a discontinuity')
      await sleep(14000) // all have played what was before it, and it has left the playlist
      await Promise.all(names.map(async name => {
        const state = await playsOn(tabs[name], name)
        t.diagnostic(`${name}: plays on within ${Date.now() - killed} ms, ${state.waits.length} interruptions, errors ${summary(state)}`)
        assert.deepEqual(fatal(state), [], name)
      }))
    } finally {
      await Promise.all([...Object.values(tabs).map(tab => tab.close()), stop(publisher, 'SIGKILL'), list.close()])
      await origin.close()
    }
  })

  // What survives a server is where its playlists stood, not their media.
  const viewers = [
    { name: 'TS', path: '/live/x.ts.m3u8' },
    { name: 'fMP4', path: '/live/x.m3u8', options: { lowLatencyMode: false } },
    // Without a segment that it knows, this player waits at the end of its parts until it is told to seek.
    { name: 'fMP4 with low latency', path: '/live/x.m3u8', options: { lowLatencyMode: true } }
  ]
  const ends = [
    { how: 'is killed', end: async origin => { await origin.kill(); await origin.again() } },
    { how: 'hands over to a new process', end: origin => origin.handOver() }
  ]
  const all = viewers.flatMap(v => ends.map(e => ({ ...v, ...e })))
  // The player that has it hardest stands for the others at a hand-over, unless PLAYERS_ALL is set.
  for (const { name, path, options, how, end } of all.filter(c => c.end === ends[0].end || c.options?.lowLatencyMode || process.env.PLAYERS_ALL)) {
    test(`the server ${how} under ${name}`, { timeout: 120000 }, async t => {
      const origin = await serve(binary)
      const publisher = keepPushing(files.av, origin.publish('x'))
      const list = readPlaylist(origin.url(name === 'TS' ? '/live/x/ts/index.m3u8' : '/live/x/fmp4/index.m3u8'))
      const tab = await open(browser, page.url)
      try {
        await watchable(list, origin)
        await tab.play(name, 'hls', origin.url(path), options)
        await playsOn(tab, name)
        const before = newest(list)
        const killed = Date.now()
        await end(origin)
        await listGoesOn(list, before, () => list.discontinuities() > 0)
        await survives(t, tab, name, killed)
        await unbroken(tab, list)
        assert.equal(list.discontinuities(), 1)
      } finally {
        await Promise.all([tab.close(), publisher.close(), list.close()])
        await origin.close()
      }
    })
  }

  // It cannot know then that there was anybody: the media's time has to go on by itself, as it does within an hour of
  // the clock.
  test('the server is killed and loses its data', { timeout: 180000 }, async t => {
    const left = 3600000 - Date.now() % 3600000
    if (left < 60000) await sleep(left + 1000)
    const origin = await serve(binary)
    const publisher = keepPushing(files.av, origin.publish('x'))
    const list = readPlaylist(origin.url('/live/x/ts/index.m3u8'))
    const tab = await open(browser, page.url)
    try {
      await watchable(list, origin)
      for (const { name, path, options } of viewers) await tab.play(name, 'hls', origin.url(path), options)
      for (const { name } of viewers) await playsOn(tab, name)
      const before = newest(list)
      const killed = Date.now()
      await origin.kill()
      await origin.forget()
      await origin.again()
      await listGoesOn(list, before)
      await Promise.all(viewers.map(({ name }) => survives(t, tab, name, killed, 20000)))
      await unbroken(tab, list)
    } finally {
      await Promise.all([tab.close(), publisher.close(), list.close()])
      await origin.close()
    }
  })
})
