// TLS material by settings: what the servers show, whom they admit, and what callbacks present.

import { readFileSync } from 'node:fs'
import { GonkaError, messageOf } from '../errors.ts'
import type { ClientTls } from './http-client.ts'
import type { ServerTls } from './server.ts'
import type { Settings } from './settings.ts'

function pem(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    throw new GonkaError('ERR_GK_FILE', `cannot read ${path}: ${messageOf(error)}`, { cause: error })
  }
}

export function clientTls(settings: Settings): ClientTls {
  const { 'callbacks.tls_cert': cert, 'callbacks.tls_key': key, 'callbacks.tls_ca': ca } = settings
  return {
    ...(cert === '' ? {} : { cert: pem(cert) }),
    ...(key === '' ? {} : { key: pem(key) }),
    ...(ca === '' ? {} : { ca: pem(ca) }),
  }
}

/** Undefined: plain HTTP. */
export function serverTls(settings: Settings): ServerTls | undefined {
  if (settings['listen.tls_cert'] === '') return undefined
  const ca = settings['listen.tls_client_ca']
  return {
    cert: pem(settings['listen.tls_cert']),
    key: pem(settings['listen.tls_key']),
    ...(ca === '' ? {} : { ca: pem(ca) }),
  }
}
