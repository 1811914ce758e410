// Readers that are no players: of a playlist, again and again, and of HTTP-FLV.
import { get } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'

/**
 * Reads a media playlist every 200 ms until it is closed and keeps what all versions said. segments maps each media
 * sequence number to { uri, discontinuity, dsn }; wrong lists what versions disagree on, failed what was no playlist
 * once there had been one.
 */
export function readPlaylist (url) {
  const r = { segments: new Map(), wrong: [], failed: [], ended: false, versions: 0 }
  let open = true
  const done = (async () => {
    while (open) {
      try {
        const response = await fetch(url, { cache: 'no-store', signal: AbortSignal.timeout(15000) })
        const text = await response.text()
        if (response.ok) take(r, text)
        else if (r.versions > 0) r.failed.push(response.status)
      } catch (error) {
        if (r.versions > 0) r.failed.push(`${error}`)
      }
      await sleep(200)
    }
  })()
  r.close = async () => { open = false; await done }
  r.discontinuities = () => [...r.segments.values()].filter(s => s.discontinuity).length
  return r
}

/** Adds one version of a playlist. */
function take (r, text) {
  r.versions++
  let msn = 0; let dsn = 0; let discontinuity = false
  for (const line of text.split('\n')) {
    const number = Number(line.split(':')[1])
    if (line.startsWith('#EXT-X-MEDIA-SEQUENCE:')) msn = number
    else if (line.startsWith('#EXT-X-DISCONTINUITY-SEQUENCE:')) dsn = number
    else if (line === '#EXT-X-DISCONTINUITY') discontinuity = true
    else if (line === '#EXT-X-ENDLIST') r.ended = true
    else if (line !== '' && !line.startsWith('#')) {
      if (discontinuity) dsn++
      const before = r.segments.get(msn)
      if (before && (before.uri !== line || before.discontinuity !== discontinuity || before.dsn !== dsn)) {
        r.wrong.push(`segment ${msn} was ${JSON.stringify(before)}, is ${line} ${discontinuity} ${dsn}`)
      }
      r.segments.set(msn++, { uri: line, discontinuity, dsn })
      discontinuity = false
    }
  }
}

/** What is wrong with the sequence of a playlist's segments; empty if nothing is. */
export function sequence (r) {
  const wrong = [...r.wrong]
  const all = [...r.segments].sort(([a], [b]) => a - b)
  for (let i = 1; i < all.length; i++) {
    const [msn, s] = all[i]
    const [last, before] = all[i - 1]
    if (msn !== last + 1) wrong.push(`segment ${msn} follows ${last}`)
    if (s.dsn !== before.dsn + (s.discontinuity ? 1 : 0)) wrong.push(`segment ${msn} has DSN ${s.dsn} after ${before.dsn}`)
  }
  return wrong
}

/**
 * Reads HTTP-FLV on one connection until it is closed: media is how many ms of it came, tags how many, back lists where
 * time went back.
 */
export function readFLV (url) {
  const r = { tags: 0, bytes: 0, first: -1, last: -1, media: 0, back: [], ended: null }
  let rest = Buffer.alloc(0)
  let header = 13
  const request = get(url, response => {
    if (response.statusCode !== 200) r.ended ??= `status ${response.statusCode}`
    response.on('data', chunk => {
      r.bytes += chunk.length
      rest = Buffer.concat([rest, chunk])
      if (header > 0 && rest.length >= header) {
        rest = rest.subarray(header)
        header = 0
      }
      while (header === 0 && rest.length >= 11) {
        const size = 11 + rest.readUIntBE(1, 3) + 4
        if (rest.length < size) break
        tag(r, rest[0], rest.readUIntBE(4, 3) + rest[7] * 0x1000000)
        rest = rest.subarray(size)
      }
    })
    response.on('close', () => { r.ended ??= 'it was closed' })
  })
  request.on('error', error => { r.ended ??= `${error}` })
  r.close = () => { r.ended ??= 'by us'; request.destroy() }
  return r
}

function tag (r, type, time) {
  r.tags++
  if (type === 18) return // metadata have no time that counts
  if (r.first < 0) r.first = time
  if (time < r.last) r.back.push(`${r.last} to ${time}`)
  r.last = time
  r.media = time - r.first
}
