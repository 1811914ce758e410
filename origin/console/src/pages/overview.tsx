// All streams, as they are now.
import type { JSX } from 'preact'
import { useId, useState } from 'preact/hooks'
import type { Change, Stream } from '../api'
import { bits, clock, count, length, ms, NONE, protocol, rate, seconds } from '../format'
import { inWords } from '../live'
import { Section, State } from '../parts/small'

/** How old the newest media is that viewers can have, by the server's clock. */
export function edge (s: Stream): number | null {
  if (s.last_part === null || s.state !== 'live') return null
  return Math.max(0, (Date.parse(s.began) - Date.parse(s.last_part)) / 1000 + s.uptime_seconds)
}

export const audience = (s: Stream): number => Object.values(s.viewers).reduce((a, b) => a + b, 0)

/** What came from the publisher and could not be used. */
export const dropped = ({ counters: c }: Stream): number => c.malformed + c.unsupported + c.before_header + c.metadata_dropped

export const picture = (s: Stream): string => s.video === null ? NONE : `${s.video.width} × ${s.video.height}`

function Viewers ({ of: s }: { of: Stream }): JSX.Element {
  const by = Object.entries(s.viewers).filter(([, n]) => n > 0).sort()
  return <>{count(audience(s))}{by.length > 0 && <span class='sub'>{by.map(([p, n]) => `${count(n)} ${protocol(p)}`).join(', ')}</span>}</>
}

function Row ({ of: s }: { of: Stream }): JSX.Element {
  const keys = s.key_frame_interval
  const uneven = keys !== null && keys.max > keys.min * 1.5
  const bad = dropped(s)
  return (
    <tr data-stream={s.name}>
      <th scope='row'>
        <a href={`#/streams/${s.name}`}>{s.name}</a>
        <span class='sub'><State of={s.state} /> {length(s.uptime_seconds)}</span>
      </th>
      <td data-label='Bit rate'>{bits(s.bitrate)}</td>
      <td data-label='Picture'>{picture(s)}<span class='sub'>{[s.video?.codec, s.frame_rate > 0 && `${rate(s.frame_rate)} fps`].filter(Boolean).join(', ')}</span></td>
      <td data-label='Sound'>{s.audio === null ? 'none' : s.audio.codec}{s.audio !== null && <span class='sub'>{s.audio.sample_rate / 1000} kHz</span>}</td>
      <td data-label='Key frames'>{keys === null ? NONE : seconds(keys.last)}{uneven && <span class='sub'>{keys.min.toFixed(1)} to {keys.max.toFixed(1)} s</span>}</td>
      <td data-label='Live edge'>{seconds(edge(s))}</td>
      <td data-label='A/V offset'>{ms(s.av_offset_seconds)}</td>
      <td data-label='Dropped'>{count(bad)}{s.counters.discontinuities > 0 && <span class='sub'>{count(s.counters.discontinuities)} breaks</span>}</td>
      <td data-label='Viewers'><Viewers of={s} /></td>
    </tr>
  )
}

const MANY = 8

export function Overview ({ streams, recent }: { streams: Stream[] | null, recent: Change[] }): JSX.Element {
  const [wanted, setWanted] = useState('')
  const field = useId()
  if (streams === null) return <p class='note'>Asking the server…</p>
  const live = streams.filter(s => s.state === 'live')
  const shown = streams.filter(s => s.name.toLowerCase().includes(wanted.toLowerCase()))
  const order = ['live', 'reconnecting', 'ended']
  shown.sort((a, b) => order.indexOf(a.state) - order.indexOf(b.state) || a.name.localeCompare(b.name))
  return (
    <>
      <dl class='tiles'>
        <div><dt>Live</dt><dd>{count(live.length)}</dd></div>
        <div><dt>Viewers</dt><dd>{count(streams.reduce((n, s) => n + audience(s), 0))}</dd></div>
        <div><dt>Coming in</dt><dd>{bits(live.reduce((n, s) => n + s.bitrate, 0))}</dd></div>
      </dl>
      <Section
        title='Now' aside={streams.length > MANY && (
          <span class='row'><label for={field}>Filter</label><input id={field} type='search' value={wanted} onInput={e => { setWanted(e.currentTarget.value) }} /></span>
        )}
      >
        {streams.length === 0
          ? <p class='empty'>Nobody publishes at the moment. <a href='#/publish'>What to type into OBS</a></p>
          : (
            <table class='cards'>
              <thead>
                <tr>
                  <th scope='col'>Stream</th><th scope='col'>Bit rate</th><th scope='col'>Picture</th><th scope='col'>Sound</th>
                  <th scope='col'><abbr title='Seconds from one key frame to the next'>Key frames</abbr></th>
                  <th scope='col'><abbr title='How old the newest media is that a viewer can have'>Live edge</abbr></th>
                  <th scope='col'><abbr title='By how much the sound arrives ahead of the picture'>A/V offset</abbr></th>
                  <th scope='col'><abbr title='Messages of the publisher that could not be used'>Dropped</abbr></th>
                  <th scope='col'>Viewers</th>
                </tr>
              </thead>
              <tbody>{shown.map(s => <Row key={s.name} of={s} />)}</tbody>
            </table>
            )}
      </Section>
      {recent.length > 0 && (
        <Section title='Since this page was opened'>
          <ol class='events'>{recent.map(c => <li key={`${c.time}${c.kind}${c.stream}`}><time dateTime={c.time}>{clock(c.time)}</time> {inWords(c)}</li>)}</ol>
        </Section>
      )}
    </>
  )
}
