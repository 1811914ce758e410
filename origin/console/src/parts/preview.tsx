// A player for one stream. It begins when it is asked to: it is a viewer like any other.
import type { JSX } from 'preact'
import { useEffect, useId, useRef, useState } from 'preact/hooks'
import { listenerBase, mediaBase, setMediaBase } from '../address'
import type { Server } from '../api'
import { seconds } from '../format'
import { Choice, Trouble } from './small'

type Kind = 'hls' | 'flv'
interface Playing { latency: () => number | null, close: () => void }
type Fail = (text: string) => void

/** The address of a stream; a token stands in front of the path, so that playlists carry it on. */
export function playUrl (base: string, name: string, kind: Kind, token = ''): string {
  const path = `${name.split('/').map(encodeURIComponent).join('/')}.${kind === 'hls' ? 'm3u8' : 'flv'}`
  return `${base}/${token === '' ? '' : `token=${encodeURIComponent(token)}/`}${path}`
}

async function playHLS (video: HTMLVideoElement, url: string, fail: Fail): Promise<Playing> {
  const { default: Hls } = await import('hls.js')
  if (!Hls.isSupported()) {
    video.src = url
    return { latency: () => null, close: () => { video.removeAttribute('src'); video.load() } }
  }
  const hls = new Hls({ lowLatencyMode: true, backBufferLength: 10, enableWorker: false })
  let mended = false
  hls.on(Hls.Events.ERROR, (_, data) => {
    if (!data.fatal) return
    if (data.type === Hls.ErrorTypes.MEDIA_ERROR && !mended) {
      mended = true
      hls.recoverMediaError()
    } else fail(`The player gave up: ${data.details}.`)
  })
  hls.loadSource(url)
  hls.attachMedia(video)
  return { latency: () => hls.latency > 0 ? hls.latency : null, close: () => { hls.destroy() } }
}

async function playFLV (video: HTMLVideoElement, url: string, fail: Fail): Promise<Playing> {
  const { default: mpegts } = await import('mpegts.js')
  if (!mpegts.isSupported()) throw new Error('This browser cannot play FLV.')
  mpegts.LoggingControl.applyConfig({ enableAll: false })
  const player = mpegts.createPlayer({ type: 'flv', url, isLive: true, cors: true }, {
    enableStashBuffer: false, lazyLoad: false, autoCleanupSourceBuffer: true, liveBufferLatencyChasing: true
  })
  player.on(mpegts.Events.ERROR, (type: string, detail: string) => { fail(`The player gave up: ${type}, ${detail}.`) })
  player.attachMediaElement(video)
  player.load()
  const latency = (): number | null => {
    const b = video.buffered
    return b.length === 0 ? null : Math.max(0, b.end(b.length - 1) - video.currentTime)
  }
  return { latency, close: () => { player.destroy() } }
}

/** What stands in the way of playing, if anything does. */
async function obstacle (url: string): Promise<{ text: string, token: boolean, unreachable?: boolean }> {
  const end = new AbortController()
  try {
    const answer = await fetch(url, { signal: end.signal, cache: 'no-store', credentials: 'omit' })
    if (answer.ok) return { text: '', token: false }
    const refused = answer.status === 401 || answer.status === 403
    const said = (await answer.text()).trim().slice(0, 300)
    return { token: refused, text: refused ? `Playing is protected here: ${said}` : `The stream cannot be played: ${said || answer.status}` }
  } catch {
    return { token: false, unreachable: true, text: 'The public listener does not answer this page. Is it reached at another address from here, or is CORS off (http.cors_origin)?' }
  } finally {
    end.abort()
  }
}

export function Preview ({ name, server }: { name: string, server: Server }): JSX.Element {
  const [kind, setKind] = useState<Kind>('hls')
  const [base, setBase] = useState(() => mediaBase(server))
  const [token, setToken] = useState('')
  const [asked, setAsked] = useState<{ n: number } | null>(null) // what is played; null: nothing
  const [problem, setProblem] = useState({ text: '', token: false, unreachable: false })
  const [at, setAt] = useState({ latency: null as number | null, lost: 0, playing: false })
  const video = useRef<HTMLVideoElement>(null)
  const field = useId()

  useEffect(() => {
    const v = video.current
    if (asked === null || v === null) return
    v.focus()
    let open = true
    let playing: Playing | null = null
    const fail = (text: string): void => { if (open) setProblem({ text, token: false, unreachable: false }) }
    const url = playUrl(base, name, kind, token)
    const begin = async (): Promise<void> => {
      const o = await obstacle(url)
      if (!open) return
      if (o.text !== '') {
        setProblem({ unreachable: false, ...o })
        setAsked(null)
        return
      }
      const p = await (kind === 'hls' ? playHLS : playFLV)(v, url, fail)
      if (!open) { p.close(); return }
      playing = p
      await v.play().catch(() => {}) // a browser that wants a click shows its controls
    }
    begin().catch((e: unknown) => { fail(e instanceof Error ? e.message : String(e)) })
    const look = setInterval(() => {
      setAt({ latency: playing?.latency() ?? null, lost: v.getVideoPlaybackQuality().droppedVideoFrames, playing: !v.paused && v.readyState > 2 })
    }, 500)
    return () => {
      open = false
      clearInterval(look)
      playing?.close()
      setAt({ latency: null, lost: 0, playing: false })
    }
  }, [asked, kind, name, base])

  const play = (): void => {
    setProblem({ text: '', token: false, unreachable: false })
    setAsked({ n: (asked?.n ?? 0) + 1 })
  }
  return (
    <div class='preview'>
      <div class='screen'>
        <video ref={video} muted playsInline controls={asked !== null} tabIndex={-1} aria-label={`Preview of ${name}`} />
        {asked === null && <button type='button' class='play' onClick={play}><span aria-hidden='true'>▶</span> Play a preview</button>}
      </div>
      <div class='preview-bar'>
        <Choice name='How the preview is played' of={[['hls', 'Low-latency HLS'], ['flv', 'HTTP-FLV']]} value={kind} set={setKind} />
        {asked !== null && <button type='button' class='small' onClick={() => { setAsked(null) }}>Stop</button>}
      </div>
      {asked !== null && (
        <p class='note' data-preview={at.playing ? 'plays' : 'waits'}>
          {at.playing ? `Plays ${seconds(at.latency)} behind the live edge; this browser dropped ${at.lost} ${at.lost === 1 ? 'frame' : 'frames'}.` : 'Waiting for media…'}
        </p>
      )}
      <Trouble text={problem.text} />
      {(problem.token || token !== '') && asked === null && (
        <form class='row' onSubmit={e => { e.preventDefault(); play() }}>
          <label for={field}>Play token</label>
          <input id={field} type='password' autocomplete='off' value={token} onInput={e => { setToken(e.currentTarget.value.trim()) }} aria-describedby={`${field}-how`} />
          <button type='submit'>Play</button>
          <p class='note' id={`${field}-how`}>Made on the server by <code>headwater token play {name} --expires 2h</code>. It is kept nowhere.</p>
        </form>
      )}
      {(problem.unreachable || base !== listenerBase(server)) && (
        <form class='row' onSubmit={e => { e.preventDefault(); setMediaBase(base); play() }}>
          <label for={`${field}-base`}>Public address</label>
          <input id={`${field}-base`} type='url' value={base} onChange={e => { setBase(e.currentTarget.value.replace(/\/+$/, '')) }} />
          <button type='submit'>Use it</button>
          <button type='button' onClick={() => { setMediaBase(''); setBase(listenerBase(server)) }}>Reset</button>
        </form>
      )}
    </div>
  )
}
