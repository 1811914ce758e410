// Connections that play. Viewers of HLS have none, and are only counted.
import type { JSX } from 'preact'
import { remove, type Stream, type Viewer } from '../api'
import { bytes, count, length, NONE, protocol } from '../format'
import { usePolled } from '../live'
import { Danger, Section, Trouble } from '../parts/small'

function Row ({ of: v, again }: { of: Viewer, again: () => void }): JSX.Element {
  return (
    <tr>
      <th scope='row'>{v.remote}<span class='sub'>{v.player === '' ? 'unnamed player' : v.player}</span></th>
      <td data-label='Stream'><a href={`#/streams/${v.stream}`}>{v.stream}</a></td>
      <td data-label='Protocol'>{protocol(v.protocol)}{v.tls ? ', TLS' : ''}</td>
      <td data-label='For'>{length((Date.now() - Date.parse(v.since)) / 1000)}</td>
      <td data-label='Sent'>{v.bytes === null ? NONE : bytes(v.bytes)}</td>
      <td data-label='Skips'>{v.skips === null ? NONE : count(v.skips)}</td>
      <td data-label=''>
        <Danger
          label='Kick' name={`Kick viewer ${v.remote}`} question={{
            title: 'End this viewer’s connection?', text: `${v.remote} plays ${v.stream} over ${protocol(v.protocol)}. Players often connect again by themselves.`,
            yes: 'Kick viewer', then: async () => { await remove(`viewers/${encodeURIComponent(v.id)}`); again() }
          }}
        />
      </td>
    </tr>
  )
}

export function ViewerTable ({ viewers, again }: { viewers: Viewer[], again: () => void }): JSX.Element {
  if (viewers.length === 0) return <p class='empty'>Nobody is connected. Viewers of HLS come and go with each request, and are only counted.</p>
  return (
    <table class='cards'>
      <thead>
        <tr>
          <th scope='col'>Viewer</th><th scope='col'>Stream</th><th scope='col'>Protocol</th><th scope='col'>For</th>
          <th scope='col'>Sent</th><th scope='col'><abbr title='How often it was too slow and was moved on to a newer key frame'>Skips</abbr></th>
          <th scope='col'><span class='unseen'>What can be done</span></th>
        </tr>
      </thead>
      <tbody>{viewers.map(v => <Row key={v.id} of={v} again={again} />)}</tbody>
    </table>
  )
}

const SHOWN = 500 // rows; more than that nobody reads, and a phone cannot draw

export function ViewersPage ({ streams }: { streams: Stream[] | null }): JSX.Element {
  const { data, error, again } = usePolled<{ viewers: Viewer[] }>('viewers', 3000)
  const totals = new Map<string, number>()
  for (const s of streams ?? []) for (const [p, n] of Object.entries(s.viewers)) totals.set(p, (totals.get(p) ?? 0) + n)
  const all = data?.viewers ?? []
  return (
    <>
      <dl class='tiles'>
        {[...totals].sort().map(([p, n]) => <div key={p}><dt>{protocol(p)}</dt><dd>{count(n)}</dd></div>)}
        {totals.size === 0 && <div><dt>Viewers</dt><dd>0</dd></div>}
      </dl>
      <Section title='Connected viewers'>
        <Trouble text={error} />
        {data !== null && <ViewerTable viewers={all.slice(0, SHOWN)} again={again} />}
        {all.length > SHOWN && <p class='note'>{count(all.length - SHOWN)} more are connected.</p>}
      </Section>
    </>
  )
}
