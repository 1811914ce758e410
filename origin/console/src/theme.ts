// Dark or light: as the system says, until somebody says otherwise.

export type Theme = 'system' | 'light' | 'dark'
const STORED = 'headwater.theme'

export function theme (): Theme {
  const t = localStorage.getItem(STORED)
  return t === 'light' || t === 'dark' ? t : 'system'
}

export function setTheme (t: Theme): void {
  if (t === 'system') localStorage.removeItem(STORED)
  else localStorage.setItem(STORED, t)
  applyTheme()
}

export function applyTheme (): void {
  const t = theme()
  if (t === 'system') delete document.documentElement.dataset.theme
  else document.documentElement.dataset.theme = t
}
