// What the server finds wrong with what an encoder sends, and what to set there.
import type { JSX } from 'preact'
import { streamPath, type Finding, type Severity } from '../api'
import { usePolled } from '../live'
import { Section, Trouble } from './small'

const SIGNS: Record<Severity, [sign: string, word: string]> = {
  problem: ['✕', 'Problem'], warning: ['!', 'Warning'], info: ['i', 'Worth knowing'], ok: ['✓', 'As it should be']
}

function List ({ of }: { of: Finding[] }): JSX.Element {
  return (
    <ul class='findings'>
      {of.map(f => (
        <li key={f.code} class={`finding finding-${f.severity}`} data-code={f.code}>
          <span class='sign' aria-hidden='true'>{SIGNS[f.severity][0]}</span>
          <div>
            <p><span class='unseen'>{SIGNS[f.severity][1]}: </span>{f.text}</p>
            {f.advice !== undefined && f.advice !== '' && <p class='note'>{f.advice}</p>}
          </div>
        </li>
      ))}
    </ul>
  )
}

export function Checkup ({ name }: { name: string }): JSX.Element {
  const { data, error } = usePolled<{ worst: Severity, findings: Finding[] }>(`${streamPath(name)}/checkup`, 4000)
  const found = data?.findings.filter(f => f.severity !== 'ok') ?? []
  const well = data?.findings.filter(f => f.severity === 'ok') ?? []
  const verdict = { ok: 'Nothing to change', info: 'Nothing has to change', warning: 'Some viewers suffer', problem: 'Viewers suffer' }
  return (
    <Section title='Encoder check-up' aside={data !== null && <span class={`verdict verdict-${data.worst}`} role='status'>{verdict[data.worst]}</span>}>
      <Trouble text={error} />
      {found.length > 0 && <List of={found} />}
      {well.length > 0 && (
        <details open={found.length === 0}>
          <summary>As it should be: {well.length}</summary>
          <List of={well} />
        </details>
      )}
    </Section>
  )
}
