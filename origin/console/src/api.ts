// The API of the admin listener (openapi.json), and the token that it may ask for.

export interface Interval { last: number, min: number, max: number }
export interface Publisher {
  session: number, stream: string, remote: string, encoder: string, key_id: string, tls: boolean, since: string, bytes: number
}
export interface Stream {
  name: string
  state: 'live' | 'reconnecting' | 'ended'
  since: string
  began: string
  uptime_seconds: number
  publisher: Publisher | null
  video: { codec: string, string: string, width: number, height: number, stated_frame_rate: number } | null
  audio: { codec: string, string: string, sample_rate: number, channels: number } | null
  bitrate: number
  frame_rate: number
  key_frame_interval: Interval | null
  av_offset_seconds: number | null
  last_part: string | null
  counters: Record<'video_frames' | 'audio_frames' | 'bytes' | 'discontinuities' | 'malformed' | 'unsupported' |
    'other_tracks' | 'before_header' | 'metadata' | 'metadata_dropped', number>
  viewers: Record<string, number>
  hls: { media_sequence: number, target_duration: number, part_target: number, segments: number, window_seconds: number, bytes_held: number }
}
export interface Viewer {
  id: string, stream: string, protocol: string, remote: string, player: string, tls: boolean, since: string,
  bytes: number | null, skips: number | null
}
export interface Relay {
  kind: string, stream: string, target: string, state: string, since: string, tries: number, error: string,
  error_at: string | null, bytes: number, frames: number, skips: number
}
export interface Server {
  version: string, commit: string, go: string, started: string, uptime_seconds: number, ready: boolean, listeners: Record<string, string>
}
export interface Sample {
  time: string, state: string, bitrate: number, frame_rate: number, key_frame_interval: number | null, viewers: number,
  dropped: number, discontinuities: number
}
export type Severity = 'ok' | 'info' | 'warning' | 'problem'
export interface Finding { code: string, severity: Severity, text: string, advice?: string }
export interface Change { kind: string, stream: string, time: string }

const STORED = 'headwater.token'
let token = sessionStorage.getItem(STORED) ?? ''
let refused: () => void = () => {}

/** Says whom to tell that the token is wrong or missing. */
export function onRefused (tell: () => void): void { refused = tell }

/** Takes a token for as long as this tab is open. */
export function setToken (value: string): void {
  token = value.trim()
  sessionStorage.setItem(STORED, token)
}

export const hasToken = (): boolean => token !== ''

/** An answer that is none of the wanted ones, in the server's words. */
export class Failure extends Error {
  constructor (readonly status: number, text: string) { super(text) }
}

async function ask (path: string, init: RequestInit = {}): Promise<Response> {
  const headers: Record<string, string> = token === '' ? {} : { Authorization: `Bearer ${token}` }
  if (init.body !== undefined) headers['Content-Type'] = 'application/json'
  const answer = await fetch(`/api/v1/${path}`, { ...init, headers, cache: 'no-store', credentials: 'omit' })
  if (answer.ok) return answer
  if (answer.status === 401) refused()
  const problem = await answer.json().catch(() => ({})) as { detail?: string }
  throw new Failure(answer.status, problem.detail ?? `The server answered ${answer.status}.`)
}

export async function get<T> (path: string, signal?: AbortSignal): Promise<T> {
  return await (await ask(path, { signal })).json() as T
}

/** Sends an order, with a body if there is one. */
export async function send<T> (path: string, body?: object): Promise<T> {
  return await (await ask(path, { method: 'POST', body: body === undefined ? undefined : JSON.stringify(body) })).json() as T
}

export async function remove (path: string): Promise<void> { await ask(path, { method: 'DELETE' }) }

/** The path of a stream; APP/NAME needs no escaping but for its characters. */
export const streamPath = (name: string): string => `streams/${name.split('/').map(encodeURIComponent).join('/')}`

/** Reads server-sent events until signal ends it. EventSource could send no token. */
export async function changes (tell: (c: Change) => void, began: () => void, signal: AbortSignal): Promise<void> {
  const answer = await ask('events', { signal })
  if (answer.body === null) return
  began()
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader()
  for (let rest = ''; ;) {
    const { value, done } = await reader.read()
    if (done) return
    const events = (rest + value).split('\n\n')
    rest = events.pop() ?? ''
    for (const event of events) {
      const kind = /^event: (.*)$/m.exec(event)?.[1]
      const data = /^data: (.*)$/m.exec(event)?.[1]
      if (kind !== undefined && data !== undefined) tell({ kind, ...JSON.parse(data) as { stream: string, time: string } })
    }
  }
}
