// The console: a frame with landmarks, and one page in it at a time.
import { render, type JSX } from 'preact'
import { useEffect, useId, useRef, useState } from 'preact/hooks'
import { hasToken, onRefused, setToken, type Server, type Stream } from './api'
import { length } from './format'
import { inWords, useChanges, usePolled, useRoute } from './live'
import { ManagePage } from './pages/manage'
import { Overview } from './pages/overview'
import { PublishPage } from './pages/publish'
import { RelaysPage } from './pages/relays'
import { StreamPage } from './pages/stream'
import { ViewersPage } from './pages/viewers'
import { Section, Trouble } from './parts/small'
import { applyTheme, setTheme, theme, type Theme } from './theme'
import './style.css'

const PAGES: Array<[route: string, title: string]> = [['', 'Streams'], ['publish', 'Publish'], ['viewers', 'Viewers'], ['relays', 'Relays'], ['manage', 'Manage']]

function ThemeChoice (): JSX.Element {
  const [now, setNow] = useState<Theme>(theme)
  const id = useId()
  return (
    <span class='theme'>
      <label for={id} class='unseen'>Colours</label>
      <select id={id} value={now} onChange={e => { const t = e.currentTarget.value as Theme; setTheme(t); setNow(t) }}>
        <option value='system'>As the system</option><option value='light'>Light</option><option value='dark'>Dark</option>
      </select>
    </span>
  )
}

function TokenForm ({ done }: { done: () => void }): JSX.Element {
  const [value, setValue] = useState('')
  const field = useRef<HTMLInputElement>(null)
  const id = useId()
  useEffect(() => { field.current?.focus() }, [])
  return (
    <Section title='This server asks for a token' class='narrow'>
      <form onSubmit={e => { e.preventDefault(); setToken(value); done() }}>
        <Trouble text={hasToken() ? 'This token is not the right one.' : ''} />
        <label for={id}>Token</label>
        <input ref={field} id={id} type='password' autocomplete='current-password' required value={value} onInput={e => { setValue(e.currentTarget.value) }} aria-describedby={`${id}how`} />
        <p class='note' id={`${id}how`}>It is <code>admin.token</code> of the server’s configuration, and stays in this tab until it is closed.</p>
        <button type='submit' class='primary'>Continue</button>
      </form>
    </Section>
  )
}

function Page ({ route, streams, server, recent }: { route: string, streams: Stream[] | null, server: Server | null, recent: Parameters<typeof Overview>[0]['recent'] }): JSX.Element {
  if (route.startsWith('streams/')) return <StreamPage name={route.slice('streams/'.length)} streams={streams} server={server} />
  switch (route) {
    case '': return <Overview streams={streams} recent={recent} />
    case 'publish': return <PublishPage server={server} />
    case 'viewers': return <ViewersPage streams={streams} />
    case 'relays': return <RelaysPage />
    case 'manage': return <ManagePage />
    default: return <Section title='Not there'><p>This page does not exist. <a href='#/'>All streams</a></p></Section>
  }
}

/** Everything behind the token. */
function Console ({ route }: { route: string }): JSX.Element {
  const streams = usePolled<{ streams: Stream[] }>('streams', 2000)
  const server = usePolled<Server>('server', 15_000)
  const { all, told } = useChanges()
  const s = server.data
  return (
    <>
      <p class='unseen' role='status'>{all[0] === undefined ? '' : inWords(all[0])}</p>
      <Trouble text={streams.error === '' ? '' : `${streams.error} What is shown may be old.`} />
      <Page route={route} streams={streams.data?.streams ?? null} server={s} recent={all} />
      <footer>
        {s !== null && <>Headwater {s.version}, up {length(s.uptime_seconds)}{s.ready ? '' : ', ending'} · </>}
        {told ? 'Changes show at once' : 'Changes show within seconds'} · <a href='/api/v1/openapi.json'>API</a> · <a href='/licences.md'>Licences</a>
      </footer>
    </>
  )
}

function App (): JSX.Element {
  const route = useRoute()
  const [refused, setRefused] = useState(false)
  const [tries, setTries] = useState(0)
  const main = useRef<HTMLElement>(null)
  const first = useRef(true)
  useEffect(() => { onRefused(() => { setRefused(true) }) }, [])
  const title = route.startsWith('streams/') ? route.slice('streams/'.length) : PAGES.find(([r]) => r === route)?.[1] ?? 'Not there'
  useEffect(() => {
    document.title = `${title} – Headwater`
    if (!first.current) { main.current?.focus({ preventScroll: true }); window.scrollTo(0, 0) }
    first.current = false
  }, [route])
  return (
    <>
      <a class='skip' href='#main' onClick={e => { e.preventDefault(); main.current?.focus() }}>To the content</a>
      <header>
        <a class='brand' href='#/'><img src='/icon.svg' alt='' width='26' height='26' />Headwater</a>
        <nav aria-label='Pages'>
          {PAGES.map(([r, t]) => <a key={r} href={`#/${r}`} aria-current={r === route || (r === '' && route.startsWith('streams/')) ? 'page' : undefined}>{t}</a>)}
        </nav>
        <ThemeChoice />
      </header>
      <main id='main' ref={main} tabIndex={-1}>
        <h1>{title}</h1>
        {refused ? <TokenForm key={tries} done={() => { setRefused(false); setTries(tries + 1) }} /> : <Console key={tries} route={route} />}
      </main>
    </>
  )
}

applyTheme()
render(<App />, document.getElementById('app')!)
