// Numbers as people read them.

export const NONE = '–'

export function bits (n: number): string {
  if (n <= 0) return NONE
  return n < 999_500 ? `${Math.round(n / 1000)} kbit/s` : `${(n / 1e6).toFixed(n < 9.95e6 ? 2 : 1)} Mbit/s`
}

export function bytes (n: number): string {
  for (const unit of ['B', 'kB', 'MB', 'GB']) {
    if (n < 999.5) return `${n < 10 && unit !== 'B' ? n.toFixed(1) : Math.round(n)} ${unit}`
    n /= 1000
  }
  return `${n.toFixed(2)} TB`
}

export const count = (n: number): string => n.toLocaleString('en')

export const rate = (n: number): string => n <= 0 ? NONE : `${Number(n.toFixed(n < 10 ? 1 : 2))}`

export const seconds = (n: number | null | undefined): string =>
  n === null || n === undefined ? NONE : `${n.toFixed(Math.abs(n) < 9.95 ? 2 : 1)} s`

/** A length of time in its two largest units. */
export function length (n: number): string {
  const s = Math.max(0, Math.round(n))
  if (s < 60) return `${s} s`
  if (s < 3600) return `${Math.floor(s / 60)} min ${s % 60} s`
  if (s < 86400) return `${Math.floor(s / 3600)} h ${Math.floor(s / 60) % 60} min`
  return `${Math.floor(s / 86400)} d ${Math.floor(s / 3600) % 24} h`
}

export const ms = (n: number | null): string => n === null ? NONE : `${n > 0 ? '+' : n < 0 ? '−' : ''}${Math.abs(Math.round(n * 1000))} ms`

export const clock = (t: number | string): string =>
  new Date(t).toLocaleTimeString([], { hour: '2-digit', minute: '2-digit', second: '2-digit' })

const PROTOCOLS: Record<string, string> = {
  hls: 'HLS', 'http-flv': 'HTTP-FLV', 'ws-flv': 'WS-FLV', 'http-ts': 'HTTP-TS', rtmp: 'RTMP'
}
export const protocol = (p: string): string => PROTOCOLS[p] ?? p

export const channels = (n: number): string => n === 1 ? 'mono' : n === 2 ? 'stereo' : `${n} channels`
