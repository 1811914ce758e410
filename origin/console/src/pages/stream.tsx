// One stream: preview, numbers, the last hour, check-up, and its end.
import type { JSX } from 'preact'
import { useMemo, useRef } from 'preact/hooks'
import { mediaBase } from '../address'
import { remove, streamPath, type Sample, type Server, type Stream, type Viewer } from '../api'
import { bits, bytes, channels, count, length, ms, NONE, protocol, rate, seconds } from '../format'
import { usePolled } from '../live'
import { Chart, Table, type Line, type Point } from '../parts/chart'
import { Checkup } from '../parts/checkup'
import { Preview, playUrl } from '../parts/preview'
import { Copy, Danger, Facts, QR, Section, State } from '../parts/small'
import { audience, dropped, edge, picture } from './overview'
import { ViewerTable } from './viewers'

function Kick ({ name }: { name: string }): JSX.Element {
  return (
    <Danger
      label='Kick publisher' question={{
        title: `End the publisher of ${name}?`,
        text: 'Its connection is closed, and it is told not to come back. Many encoders connect again by themselves all the same: revoke the key, if it has to stay out.',
        yes: 'Kick publisher',
        then: async () => { await remove(streamPath(name)) }
      }}
    />
  )
}

function Numbers ({ of: s, viewers }: { of: Stream, viewers: Viewer[] }): JSX.Element {
  const keys = s.key_frame_interval
  const skips = viewers.reduce((n, v) => n + (v.skips ?? 0), 0)
  return (
    <Section title='Now'>
      <Facts
        of={[
          ['Bit rate', bits(s.bitrate)],
          ['Picture', s.video === null ? 'none' : `${picture(s)}, ${s.video.codec}`],
          ['Frame rate', s.frame_rate > 0 ? `${rate(s.frame_rate)} fps` : NONE],
          ['Key frames every', keys === null ? NONE : keys.max - keys.min < 0.05 ? seconds(keys.last) : `${keys.min.toFixed(1)} to ${keys.max.toFixed(1)} s`],
          ['Sound', s.audio === null ? 'none' : `${s.audio.codec}, ${s.audio.sample_rate / 1000} kHz, ${channels(s.audio.channels)}`],
          ['A/V offset', ms(s.av_offset_seconds)],
          ['Live edge', edge(s) === null ? NONE : `${seconds(edge(s))} old`],
          ['HLS window', `${seconds(s.hls.window_seconds)}, ${s.hls.segments} segments`],
          ['Could not be used', `${count(dropped(s))} messages`],
          ['Breaks in time', count(s.counters.discontinuities)],
          ['Viewers’ skips', count(skips)],
          ['Viewers', Object.entries(s.viewers).filter(([, n]) => n > 0).map(([p, n]) => `${count(n)} ${protocol(p)}`).join(', ') || 'none'],
          ['CODECS', [s.video?.string, s.audio?.string].filter(Boolean).join(', ') || NONE]
        ]}
      />
    </Section>
  )
}

function From ({ of: s }: { of: Stream }): JSX.Element {
  const p = s.publisher
  return (
    <Section title='Publisher' aside={p !== null && <Kick name={s.name} />}>
      {p === null
        ? <p class='empty'>{s.state === 'live' ? 'A relay brings this stream.' : `Nobody, for ${length((Date.parse(s.began) - Date.parse(s.since)) / 1000 + s.uptime_seconds)}.`}</p>
        : (
          <Facts
            of={[
              ['Address', `${p.remote}${p.tls ? ', TLS' : ''}`], ['Encoder', p.encoder === '' ? NONE : p.encoder],
              ['Key', p.key_id === '' ? 'none needed' : p.key_id], ['Received', bytes(p.bytes)]
            ]}
          />
          )}
    </Section>
  )
}

/** History and the moment, as lines. */
function useLines (s: Stream): Line[] {
  const { data } = usePolled<{ samples: Sample[] }>(`${streamPath(s.name)}/history`, 10_000)
  return useMemo(() => {
    const past = data?.samples ?? []
    const now = Date.parse(s.began) + s.uptime_seconds * 1000
    const line = (of: (x: Sample) => number | null, current: number | null): Point[] =>
      [...past.map(x => ({ t: Date.parse(x.time), v: of(x) })).filter(p => p.t < now), { t: now, v: current }]
    const summed = (of: (x: Sample) => number): Point[] => {
      let sum = 0
      const sums = new Map(past.map(x => [x, sum += of(x)]))
      return line(x => sums.get(x) ?? null, sum)
    }
    return [
      { name: 'Bit rate', points: line(x => x.bitrate, s.bitrate), show: n => n === 0 ? '0' : bits(n) },
      { name: 'Frame rate', points: line(x => x.frame_rate, s.frame_rate), show: n => `${Number(n.toFixed(1))} fps` },
      { name: 'Key-frame interval', points: line(x => x.key_frame_interval, s.key_frame_interval?.last ?? null), show: n => `${Number(n.toFixed(2))} s` },
      { name: 'Viewers', points: line(x => x.viewers, audience(s)), show: count, whole: true },
      { name: 'Could not be used', points: summed(x => x.dropped), show: count, whole: true },
      { name: 'Breaks in time', points: summed(x => x.discontinuities), show: count, whole: true }
    ]
  }, [data, s])
}

function Charts ({ of: s }: { of: Stream }): JSX.Element {
  const lines = useLines(s)
  const now = lines[0]!.points.at(-1)!.t
  return (
    <Section title='The last hour' class='wide'>
      <div class='charts'>{lines.map(l => <Chart key={l.name} line={l} now={now} />)}</div>
      <Table lines={lines} />
    </Section>
  )
}

function Addresses ({ of: s, server }: { of: Stream, server: Server }): JSX.Element {
  const base = mediaBase(server)
  const hls = playUrl(base, s.name, 'hls')
  return (
    <Section title='Where viewers play it'>
      <div class='with-qr'>
        <div>
          <Copy name='HLS, low latency' text={hls} />
          <Copy name='HLS, MPEG-TS' text={hls.replace(/m3u8$/, 'ts.m3u8')} />
          <Copy name='HTTP-FLV' text={playUrl(base, s.name, 'flv')} />
        </div>
        <QR text={hls} label={`QR code of ${hls}`} />
      </div>
    </Section>
  )
}

const AWAY = 30_000 // ms in which a server that began anew has its publishers back

/** The stream of that name. One that is gone and had not ended is shown on for a while: the server may have begun anew. */
function useStream (name: string, streams: Stream[] | null): Stream | undefined {
  const last = useRef<{ stream: Stream, seen: number } | null>(null)
  const stream = streams?.find(s => s.name === name)
  if (stream !== undefined) {
    last.current = { stream, seen: Date.now() }
    return stream
  }
  const before = last.current
  if (before === null || before.stream.name !== name || before.stream.state === 'ended' || Date.now() - before.seen > AWAY) return undefined
  return { ...before.stream, state: 'reconnecting', publisher: null, bitrate: 0, frame_rate: 0, last_part: null }
}

export function StreamPage ({ name, streams, server }: { name: string, streams: Stream[] | null, server: Server | null }): JSX.Element {
  const stream = useStream(name, streams)
  const viewers = usePolled<{ viewers: Viewer[] }>(stream === undefined ? '' : 'viewers', 4000)
  if (streams === null || server === null) return <p class='note'>Asking the server…</p>
  if (stream === undefined) {
    return <Section title='Not there'><p>There is no stream {name}, or not any more. This page shows it when it begins. <a href='#/'>All streams</a></p></Section>
  }
  const watching = viewers.data?.viewers.filter(v => v.stream === name) ?? []
  return (
    <>
      <p class='crumbs'><a href='#/'>Streams</a> <span aria-hidden='true'>/</span> <State of={stream.state} /> <span class='note'>for {length(stream.uptime_seconds)}</span></p>
      <div class='columns'>
        <div class='column'>
          <Section title='Preview'><Preview key={name} name={name} server={server} /></Section>
          <Checkup name={name} />
        </div>
        <div class='column'>
          <Numbers of={stream} viewers={watching} />
          <From of={stream} />
          <Addresses of={stream} server={server} />
        </div>
      </div>
      <Charts of={stream} />
      <Section title='Connected viewers'><ViewerTable viewers={watching} again={viewers.again} /></Section>
    </>
  )
}
