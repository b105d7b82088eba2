// Who may call the API: everybody on the private network (as the reference), or holders of a token.

import { createHash, timingSafeEqual } from 'node:crypto'

export interface Authorisation {
  /** Undefined if the call may proceed, else status and reason. */
  check(call: {
    readonly path: string
    readonly authorization: string | undefined
    readonly origin: string | undefined
    readonly host: string | undefined
  }): { readonly status: 401 | 403; readonly detail: string } | undefined
  /** Replaces the token; undefined opens the API. */
  setToken(token: string | undefined): void
}

// Probes carry no credentials, and the page itself holds no data. Whole paths as they came: the router also takes encoded
// ones, and what is not in this list needs the token however it is written.
const open = /^\/(health|livez|readyz|dashboard\/(page|uplot)\.(css|js))?$/
const loopbackHost = /^(localhost|127(\.\d{1,3}){3}|\[::1\])(:\d+)?$/i

const digest = (text: string) => createHash('sha256').update(text).digest()

export function createAuthorisation(token: string | undefined, loopbackOnly: boolean): Authorisation {
  let expected = token === undefined ? undefined : digest(token)
  return {
    check({ path, authorization, origin, host }) {
      // A page of another site, opened in a browser on this machine, can reach loopback too. Browsers name the site in
      // Origin, and a name that was rebound to 127.0.0.1 shows in Host.
      if (origin !== undefined && origin !== 'null' && host !== undefined) {
        let from = ''
        try {
          from = new URL(origin).host
        } catch {
          return { status: 403, detail: 'Origin is not a URL' }
        }
        if (from !== host) return { status: 403, detail: 'requests from pages of other sites are refused' }
      } else if (origin === 'null') {
        return { status: 403, detail: 'requests from pages of other sites are refused' }
      }
      if (loopbackOnly && host !== undefined && !loopbackHost.test(host)) {
        return { status: 403, detail: 'this node listens on loopback only; Host must be localhost' }
      }
      if (expected === undefined || open.test(path)) return undefined
      const given = /^Bearer (.+)$/i.exec(authorization ?? '')?.[1]
      if (given !== undefined && timingSafeEqual(digest(given), expected)) return undefined
      return { status: 401, detail: 'a bearer token is required' }
    },
    setToken(changed) {
      expected = changed === undefined ? undefined : digest(changed)
    },
  }
}
