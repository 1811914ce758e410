// The console of the admin listener in a real Chromium, before a real server with a
// real publisher. CONSOLE_SHOTS names a folder for pictures of its pages.
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { createRequire } from 'node:module'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { launch } from '../lib/browser.mjs'
import { build, serve } from '../lib/headwater.mjs'
import { run, stop } from '../lib/process.mjs'
import { encode, keepPushing, push } from '../lib/source.mjs'

const CONSOLE = fileURLToPath(new URL('../../console', import.meta.url))
const TOKEN = 'open-sesame'
const PAGES = ['#/', '#/streams/live/show', '#/publish', '#/viewers', '#/relays', '#/manage', '#/nowhere']

const shots = process.env.CONSOLE_SHOTS
let dir, binary, files, open, closed, browser, config, axe
const publishers = {}

before(async () => {
  dir = await mkdtemp(join(tmpdir(), 'headwater-console-'))
  if (shots) await mkdir(shots, { recursive: true })
  await run(CONSOLE, ['--stale'])
  ;[binary, files] = await Promise.all([build(dir), encode(dir, 150, ['av', 'video'])])
  config = join(dir, 'headwater.yaml')
  await writeFile(config, 'log: {level: info}\n')
  axe = await readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')
  open = await serve(binary, { HEADWATER_STREAM_RECONNECT_WINDOW: '1s', HEADWATER_CONFIG: config })
  closed = await serve(binary, { HEADWATER_ADMIN_TOKEN: TOKEN, HEADWATER_PLAY_ACCESS: 'protected' })
  publishers.show = push(files.av, open.publish('show'))
  publishers.mute = push(files.video, open.publish('mute'))
  publishers.closed = push(files.av, closed.publish('show'))
  browser = await launch()
}, { timeout: 120000 })

after(async () => {
  await browser?.close()
  await Promise.all(Object.values(publishers).map(p => stop(p, 'SIGKILL')))
  await Promise.all([open?.close(), closed?.close()])
  if (dir) await rm(dir, { recursive: true, force: true })
}, { timeout: 60000 })

/** Opens the console in a browser of its own, notes what it complains about and whom it asks, and fails if either is wrong. */
async function inConsole (server, route, what, { refusals = false, breaks = false, ...options } = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, colorScheme: 'light', ...options })
  const page = await context.newPage()
  const said = []
  const allowed = [new URL(server.admin('/')).host, new URL(server.url('/')).host]
  page.on('console', m => { if (m.type() === 'error' && !breaks && !(refusals && /status of (40[013]|422)/.test(m.text()))) said.push(m.text()) })
  page.on('pageerror', error => said.push(`${error}`))
  page.on('request', r => {
    const url = new URL(r.url())
    if (/^(http|ws)/.test(url.protocol) && !allowed.includes(url.host)) said.push(`asks ${url}`)
  })
  page.setDefaultTimeout(15000)
  try {
    await page.goto(server.admin(`/${route}`))
    await what(page)
    assert.deepEqual(said, [])
  } catch (error) {
    await shot(page, 'failed').catch(() => {})
    throw new Error(`${error.message}\nThe page said: ${said.join('\n')}`, { cause: error })
  } finally {
    await context.close()
  }
}

async function shot (page, name, fullPage = true) {
  if (shots) await page.screenshot({ path: join(shots, `${name}.png`), fullPage })
}

/** The preview plays: its time advances by a second. One that was switched from another begins at its own time. */
async function plays (page) {
  await page.evaluate(() => { window.from = Infinity })
  await page.waitForFunction(() => {
    const t = document.querySelector('video').currentTime
    if (t > 0) window.from = Math.min(window.from, t)
    return t > window.from + 1
  })
  const height = await page.evaluate(() => document.querySelector('video').videoHeight)
  assert.equal(height, 180)
}

/** Waits until a cell of a row of the overview shows something. */
const shows = (page, stream, label, pattern) => page.waitForFunction(
  ([stream, label, pattern]) => new RegExp(pattern).test(document.querySelector(`tr[data-stream="${stream}"] td[data-label="${label}"]`)?.textContent ?? ''),
  [stream, label, pattern])

/** What axe finds against WCAG 2.1, A and AA, in what is shown now. */
async function audit (page) {
  await page.evaluate(axe) // not as a script element, which the page's policy forbids
  return await page.evaluate(async () => {
    const found = await window.axe.run(document, { runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa'] })
    if (found.passes.length < 10) return ['axe has looked at nothing']
    return found.violations.flatMap(v => v.nodes.map(n => `${v.id}: ${n.target.join(' ')}: ${n.failureSummary.replace(/\s+/g, ' ')}`))
  })
}

/** Goes through a page with the Tab key and returns what is wrong with the way. */
const walk = async page => {
  const wrong = []
  await page.evaluate(() => { window.before = null; document.activeElement.blur(); window.getSelection().removeAllRanges() })
  for (let i = 0; i < 60; i++) {
    await page.keyboard.press('Tab')
    const step = await page.evaluate(() => {
      const e = document.activeElement
      if (e === document.body || e === window.first) return null
      window.first ??= e
      const label = e.outerHTML.slice(0, 80)
      const back = window.before !== null && (window.before.compareDocumentPosition(e) & Node.DOCUMENT_POSITION_PRECEDING) !== 0
      window.before = e
      const rings = [e, e.closest('label')].filter(Boolean).map(x => getComputedStyle(x))
      const ring = rings.some(s => s.outlineStyle !== 'none' && parseFloat(s.outlineWidth) >= 2)
      const box = e.getBoundingClientRect()
      return { label, back, ring, seen: box.width > 0 && box.bottom > 0 && box.top < innerHeight }
    })
    if (step === null) return i > 4 ? wrong : [...wrong, `only ${i} stops`]
    if (step.back) wrong.push(`goes back to ${step.label}`)
    if (!step.ring) wrong.push(`does not show the focus on ${step.label}`)
    if (!step.seen) wrong.push(`does not show ${step.label}`)
  }
  return [...wrong, 'never ends']
}

/** The focus stays in the dialog that is open, however often Tab is pressed. */
async function trapped (page) {
  for (const key of ['Tab', 'Tab', 'Tab', 'Tab', 'Tab', 'Tab', 'Shift+Tab', 'Shift+Tab', 'Shift+Tab', 'Shift+Tab']) {
    await page.keyboard.press(key)
    assert.ok(await page.evaluate(() => document.activeElement === document.body || document.querySelector('dialog').contains(document.activeElement)), 'the focus has left the dialog')
  }
}

describe('the console', { timeout: 150000 }, () => {
  test('shows what is live, in numbers', () => inConsole(open, '', async page => {
    await shows(page, 'live/show', 'Bit rate', '^[1-9]\\d+ kbit/s$')
    await shows(page, 'live/show', 'Picture', '320 × 180H.264, (29|30|31)(\\.\\d+)? fps')
    await shows(page, 'live/show', 'Key frames', '^2.00 s$')
    await shows(page, 'live/show', 'Live edge', '^[01]\\.\\d\\d s$')
    await shows(page, 'live/show', 'Sound', '^AAC44.1 kHz$')
    await shows(page, 'live/mute', 'Sound', '^none$')
    assert.match(await page.textContent('.tiles'), /Live2Viewers/)
    assert.match(await page.textContent('footer'), /Changes show at once/)
    await shot(page, 'overview')
  }))

  test('plays a preview either way, and counts it as a viewer', () => inConsole(open, '#/streams/live/show', async page => {
    await page.click('text=Play a preview')
    await plays(page)
    await page.waitForSelector('text=/Plays \\d\\.\\d+ s behind the live edge/')
    await page.check('input[value=flv]')
    await plays(page)
    await page.waitForSelector('section:has(h2:text("Connected viewers")) td:text("HTTP-FLV")')
    assert.ok(await page.locator('[data-code="video.format"]').count() > 0, 'the check-up says what the picture is')
    await shot(page, 'stream')
  }))

  test('keeps its preview while the server hands over', async () => {
    const own = await serve(binary)
    const publisher = keepPushing(files.av, own.publish('show'))
    try {
      await inConsole(own, '', async page => {
        await page.waitForSelector('tr[data-stream="live/show"] .state-live')
        await page.click('a:text-is("live/show")')
        await page.click('text=Play a preview')
        await plays(page)
        await own.handOver()
        for (let live = false; !live; await page.waitForTimeout(100)) { // in the new process
          live = (await (await fetch(own.admin('/api/v1/streams'))).json()).streams[0]?.state === 'live'
        }
        await page.waitForSelector('.crumbs .state-live')
        await page.waitForFunction(() => {
          const t = document.querySelector('video').currentTime
          window.stood ??= t
          return t > window.stood + 3
        }, undefined, { timeout: 30000 })
        assert.equal(await page.locator('.play').count(), 0, 'the preview was ended')
      }, { breaks: true })
    } finally {
      await publisher.close()
      await own.close()
    }
  })

  test('finds no sound, and says so', () => inConsole(open, '#/streams/live/mute', async page => {
    await page.waitForSelector('.finding:has-text("audio")')
    await shot(page, 'mute')
  }))

  test('says what to type into an encoder, without a secret', () => inConsole(open, '#/publish', async page => {
    const port = new URL(open.publish('x')).port
    assert.equal(await page.textContent('.copy:has(.copy-name:text-is("Server")) code'), `rtmp://127.0.0.1:${port}/live`)
    assert.equal(await page.textContent('.copy:has(.copy-name:text-is("Stream Key")) code'), 'demo')
    await page.fill('text=Server, as the encoder reaches it', 'studio.example')
    assert.equal(await page.textContent('.copy:has(.copy-name:text-is("Stream Key")) code'), 'demo?key=SECRET')
    assert.equal(await page.getAttribute('svg.qr', 'aria-label'), `QR code of rtmp://studio.example:${port}/live/demo`)
    await page.click('button[aria-label="Copy: Server"]')
    await page.waitForSelector('button:text("Copied"), button:text("Selected")')
    await shot(page, 'publish')
  }, { permissions: ['clipboard-read', 'clipboard-write'] }))

  test('makes a key, shows its secret once, and revokes it', () => inConsole(open, '#/manage', async page => {
    const listed = async () => (await (await fetch(open.admin('/api/v1/keys'))).json()).keys
    await page.fill('text=For the streams', 'nonsense')
    await page.click('button:text-is("Make a key")')
    await page.waitForSelector('form [role=alert]')
    await page.fill('text=For the streams', 'live/show')
    await page.fill('text=Called', 'studio')
    await page.focus('button:text-is("Make a key")')
    await page.keyboard.press('Enter')
    await page.waitForSelector('dialog[open]')
    const secret = await page.textContent('dialog .copy:has(.copy-name:text-is("Secret")) code')
    assert.match(secret, /^[A-Z2-7]{20,}$/)
    assert.equal(await page.textContent('dialog .copy:has(.copy-name:text-is("Stream Key")) code'), `show?key=${secret}`)
    await page.click('dialog button[aria-label="Copy: Secret"]')
    assert.equal(await page.evaluate(() => navigator.clipboard.readText()), secret)
    assert.deepEqual(await audit(page), [])
    await shot(page, 'key', false)
    await trapped(page)
    await page.click('text=I have it')
    await page.waitForFunction(() => document.querySelector('dialog') === null)
    assert.equal(await page.evaluate(() => document.activeElement.textContent), 'Make a key')
    assert.ok(!(await page.content()).includes(secret), 'the secret is still there')
    await page.waitForSelector('tr:has-text("studio") >> text=live/show')
    assert.deepEqual((await listed()).map(k => [k.id, k.name]), [['studio', 'live/show']])
    await shot(page, 'manage')
    await page.focus('button[aria-label="Revoke key studio"]')
    await page.keyboard.press('Enter')
    await page.waitForSelector('dialog[open]')
    assert.deepEqual(await audit(page), [])
    assert.ok(await page.evaluate(() => [...document.querySelectorAll('dialog, dialog p')].every(e => e.scrollWidth <= e.clientWidth)), 'the question is cut off')
    await trapped(page)
    await page.keyboard.press('Escape')
    await page.waitForFunction(() => document.querySelector('dialog') === null)
    assert.equal(await page.evaluate(() => document.activeElement.getAttribute('aria-label')), 'Revoke key studio')
    assert.equal((await listed()).length, 1)
    await page.click('button[aria-label="Revoke key studio"]')
    await page.click('dialog button:text-is("Revoke key")')
    await page.waitForSelector('text=None was made here')
    assert.equal((await listed()).length, 0)
    assert.ok(await page.evaluate(() => document.activeElement.closest('main') !== null), 'the focus is lost')
  }, { permissions: ['clipboard-read', 'clipboard-write'], refusals: true }))

  test('reads the configuration again, and says what is wrong with it', () => inConsole(open, '#/manage', async page => {
    const again = page.locator('button:text-is("Read it again")')
    await again.click()
    await page.waitForSelector('text=Nothing is different')
    await writeFile(config, 'log: {level: info}\nhls: {windoww: 10s}\n')
    await again.click()
    const said = await (await page.waitForSelector('[role=alert]')).textContent()
    assert.match(said, /^Nothing has changed: .*headwater\.yaml:2: hls\.windoww: no such key; did you mean hls\.window/)
    await shot(page, 'bad-configuration')
    await writeFile(config, 'log: {level: debug}\nhls: {window: 20s}\n')
    await again.click()
    await page.waitForSelector('text=Changed: log.level.')
    await page.waitForSelector('text=Needs a restart: hls.window.')
    assert.equal(await page.locator('[role=alert]').count(), 0)
  }, { refusals: true }))

  for (const colorScheme of ['light', 'dark']) {
    for (const viewport of [{ width: 1280, height: 900 }, { width: 360, height: 740 }]) {
      test(`has nothing that axe finds, ${colorScheme}, ${viewport.width} wide`, () => inConsole(open, '', async page => {
        for (const route of PAGES) {
          await page.goto(open.admin(`/${route}`))
          await page.waitForSelector('main .card')
          await page.waitForSelector('text=Asking the server', { state: 'detached' })
          await page.waitForLoadState('load')
          assert.deepEqual(await audit(page), [], route)
        }
        await page.goto(open.admin('/#/streams/live/show'))
        await page.click('text=Play a preview')
        await plays(page)
        assert.deepEqual(await audit(page), [], 'while it plays')
      }, { colorScheme, viewport }))
    }
  }

  test('is walked through with Tab, page by page, seeing where one is', () => inConsole(open, '', async page => {
    for (const route of PAGES) {
      await page.goto(open.admin(`/${route}`))
      await page.reload()
      await page.waitForSelector('main .card')
      await page.waitForSelector('text=Asking the server', { state: 'detached' })
      assert.deepEqual(await walk(page), [], route)
    }
  }))

  test('fits a phone, dark', () => inConsole(open, '', async page => {
    for (const route of PAGES) {
      await page.goto(open.admin(`/${route}`))
      await page.waitForSelector('main .card')
      const [inner, wide] = await page.evaluate(() => [document.documentElement.clientWidth, document.documentElement.scrollWidth])
      assert.equal(inner, 360)
      assert.ok(wide <= inner, `${route} is ${wide} wide`)
      if (route !== '#/nowhere') await shot(page, `phone${route.replace(/\W+/g, '-')}`)
    }
    const brightness = () => page.evaluate(() => Number(/\d+/.exec(getComputedStyle(document.body).backgroundColor)[0]))
    assert.ok(await brightness() < 64, 'dark as the system wants it')
    await page.selectOption('header select', 'light')
    assert.ok(await brightness() > 192, 'light as somebody wants it')
    await page.reload()
    await page.waitForSelector('main .card')
    assert.ok(await brightness() > 192, 'and still so')
  }, { viewport: { width: 360, height: 740 }, deviceScaleFactor: 2, isMobile: true, hasTouch: true, colorScheme: 'dark' }))

  test('asks for the token, and for one to play', () => inConsole(closed, '#/streams/live/show', async page => {
    await page.fill('main input[type=password]', 'wrong')
    await page.keyboard.press('Enter')
    await page.waitForSelector('text=This token is not the right one')
    assert.deepEqual(await audit(page), [])
    await shot(page, 'token')
    await page.fill('main input[type=password]', TOKEN)
    await page.keyboard.press('Enter')
    await page.click('text=Play a preview')
    await page.waitForSelector('text=Playing is protected here')
    const { stdout } = await promisify(execFile)(binary, ['token', 'play', 'live/show', '--expires', '1h', '--data', closed.data])
    await page.fill('text=Play token', stdout.trim())
    await page.keyboard.press('Enter')
    await plays(page)
    await page.check('input[value=flv]')
    await plays(page)
    await page.reload() // the tab still knows the server's token, and not the other
    await page.waitForSelector('text=Play a preview')
    const kept = await page.evaluate(() => JSON.stringify([{ ...sessionStorage }, { ...localStorage }]))
    assert.ok(kept.includes(TOKEN) && !kept.includes(stdout.trim()), kept)
  }, { refusals: true }))

  test('kicks, once it was told twice', () => inConsole(open, '#/streams/live/mute', async page => {
    const gone = publishers.mute.ended
    await page.click('text=Kick publisher')
    await page.waitForSelector('dialog[open]')
    assert.deepEqual(await audit(page), [])
    await trapped(page)
    await page.keyboard.press('Escape')
    await page.waitForFunction(() => document.querySelector('dialog') === null)
    assert.equal(await page.evaluate(() => document.activeElement.textContent), 'Kick publisher')
    assert.equal(publishers.mute.child.exitCode, null)
    await page.click('text=Kick publisher')
    await shot(page, 'kick', false)
    await page.click('dialog >> text=Kick publisher')
    await gone
    await page.waitForSelector('.state-reconnecting, .state-ended')
    await page.click('nav >> text=Streams')
    await page.waitForSelector('.events >> text=live/mute lost its publisher')
    await page.waitForSelector('tr[data-stream="live/mute"] .state-ended')
  }))

  test('is used by keyboard, charts and all', () => inConsole(open, '', async page => {
    await page.waitForSelector('tr[data-stream="live/show"]')
    await page.keyboard.press('Tab')
    assert.equal(await page.evaluate(() => document.activeElement.textContent), 'To the content')
    await page.keyboard.press('Enter')
    await page.keyboard.press('Tab')
    for (let i = 0; i < 6 && await page.evaluate(() => document.activeElement.textContent) !== 'live/show'; i++) await page.keyboard.press('Tab')
    await page.keyboard.press('Enter')
    await page.waitForSelector('h1:text-is("live/show")')
    assert.equal(await page.title(), 'live/show – Headwater')
    assert.equal(await page.evaluate(() => document.activeElement.id), 'main')
    await page.waitForFunction(() => document.querySelectorAll('.chart path.line').length === 6)
    await page.waitForFunction(() => /M[^L]+L/.test(document.querySelector('.chart path.line').getAttribute('d'))) // a sample of the server's
    assert.match(await page.getAttribute('.chart svg', 'aria-label'), /^Bit rate: now \d+ kbit\/s; lowest/)
    await page.focus('.chart svg')
    await page.keyboard.press('Home')
    assert.match(await page.textContent('.chart figcaption'), / at \d/)
  }))
})
