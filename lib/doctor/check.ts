/** One finding: what was looked at, what is wrong with it, and the one command that fixes it. */
export interface Check {
  readonly name: string
  readonly status: 'ok' | 'warning' | 'failure'
  /** The cause, in one sentence. */
  readonly detail: string
  /** One command, or null if nothing needs to be done. */
  readonly fix: string | null
}

export const ok = (name: string, detail: string): Check => ({ name, status: 'ok', detail, fix: null })
export const warning = (name: string, detail: string, fix: string | null): Check => ({
  name,
  status: 'warning',
  detail,
  fix,
})
export const failure = (name: string, detail: string, fix: string): Check => ({ name, status: 'failure', detail, fix })
