// The browser, and tabs of it in which players run.
import { chromium } from 'playwright-core'

const FLAGS = ['--headless', '--no-sandbox', '--disable-gpu', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync', '--autoplay-policy=no-user-gesture-required', '--disable-quic']

export const launch = () => chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: FLAGS })

/** Opens a tab on the page. said is what it writes as errors; play and state are the page's. */
export async function open (browser, url) {
  const tab = await browser.newPage()
  const said = []
  tab.on('console', message => { if (message.type() === 'error') said.push(message.text()) })
  tab.on('pageerror', error => said.push(`${error}`))
  let loads = 0
  tab.on('load', () => { loads++ })
  await tab.goto(url)
  await tab.waitForFunction(() => window.play)
  const state = name => tab.evaluate(name => window.state(name), name)
  return {
    said,
    loads: () => loads,
    state,
    evaluate: (...args) => tab.evaluate(...args),
    close: () => tab.close(),
    play: (name, kind, url, options) => tab.evaluate(args => { window.play(...args) }, [name, kind, url, options]),
    /** Waits until a player plays. */
    playing: (name, timeout = 30000) => tab.waitForFunction(name => window.state(name).playing > 0, name, { timeout })
      .catch(async error => {
        throw new Error(`${name} does not play: ${JSON.stringify(await state(name))} ${said}`, { cause: error })
      })
  }
}
