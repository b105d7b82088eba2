// TLS both ways with certificates of an authority made here: clients of the API, and callbacks.

import { execFileSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { createServer, request } from 'node:https'
import type { AddressInfo, Socket } from 'node:net'
import { join } from 'node:path'
import t from 'tap'
import { initBody, removeFolder, startNode, until } from './peer.ts'

t.setTimeout(0)

function makeCertificates(folder: string) {
  const at = (name: string) => join(folder, name)
  const openssl = (line: string) => execFileSync('openssl', line.split(' '), { stdio: 'ignore' })
  openssl(`req -x509 -newkey rsa:2048 -nodes -keyout ${at('ca.key')} -out ${at('ca.pem')} -subj /CN=authority -days 2`)
  writeFileSync(at('san'), 'subjectAltName=IP:127.0.0.1,DNS:localhost\n')
  for (const name of ['server', 'client']) {
    openssl(`req -newkey rsa:2048 -nodes -keyout ${at(`${name}.key`)} -out ${at(`${name}.csr`)} -subj /CN=${name}`)
    const signing = `-CA ${at('ca.pem')} -CAkey ${at('ca.key')} -CAcreateserial -days 2 -extfile ${at('san')}`
    openssl(`x509 -req -in ${at(`${name}.csr`)} ${signing} -out ${at(`${name}.pem`)}`)
  }
  openssl(
    `req -x509 -newkey rsa:2048 -nodes -keyout ${at('other.key')} -out ${at('other.pem')} -subj /CN=other -days 2`,
  )
  const read = (name: string) => readFileSync(at(name), 'utf8')
  return { at, read }
}

t.test('client certificates for the API, a client certificate for callbacks', async (t) => {
  const { at, read } = makeCertificates(t.testdir({}))
  const bodies: { path: string; subject: string }[] = []
  const peer = createServer(
    { cert: read('server.pem'), key: read('server.key'), ca: read('ca.pem'), requestCert: true },
    (incoming, response) => {
      const socket = incoming.socket as Socket & { getPeerCertificate(): { subject?: { CN?: string } } }
      bodies.push({ path: incoming.url ?? '', subject: String(socket.getPeerCertificate().subject?.CN) })
      incoming.resume().on('end', () => response.writeHead(200).end())
    },
  )
  await new Promise<void>((resolve) => peer.listen(0, '127.0.0.1', resolve))
  const node = await startNode({
    'listen.tls_cert': at('server.pem'),
    'listen.tls_key': at('server.key'),
    'listen.tls_client_ca': at('ca.pem'),
    'callbacks.tls_cert': at('client.pem'),
    'callbacks.tls_key': at('client.key'),
    'callbacks.tls_ca': at('ca.pem'),
  })
  t.teardown(async () => {
    await node.close()
    peer.closeAllConnections()
    peer.close()
    removeFolder(node.folder)
  })
  t.match(node.url, /^https:/)
  const call = (method: string, path: string, client: string | undefined, body?: unknown) =>
    new Promise<number>((resolve, reject) => {
      const own = client === undefined ? {} : { cert: read(`${client}.pem`), key: read(`${client}.key`) }
      const sent = request(`${node.url}${path}`, { method, ca: read('ca.pem'), agent: false, ...own }, (answer) => {
        answer.resume().on('end', () => resolve(answer.statusCode ?? 0))
      })
      sent.on('error', reject)
      sent.end(body === undefined ? undefined : JSON.stringify(body))
    })
  await t.rejects(call('GET', '/api/v1/state', undefined), 'no certificate')
  await t.rejects(call('GET', '/api/v1/state', 'other'), 'a certificate of nobody we know')
  t.equal(await call('GET', '/api/v1/state', 'client'), 200)

  const url = `https://127.0.0.1:${(peer.address() as AddressInfo).port}/callback-relay/relay-secret-7/v2/poc-batches/m`
  t.equal(await call('POST', '/api/v1/inference/pow/init/generate', 'client', initBody(url)), 200)
  await until(() => bodies.length > 0, 'a callback')
  t.same(bodies[0], { path: '/callback-relay/relay-secret-7/v2/poc-batches/m/generated', subject: 'client' })
  // From here the peer is gone: every kind of trouble is logged.
  // A connection whose handshake is under way is in no list yet.
  const sweep = setInterval(() => peer.closeAllConnections(), 10)
  await new Promise<void>((resolve) => peer.close(() => resolve()))
  clearInterval(sweep)
  await until(() => node.logs.some((line) => line.includes('delivery failed')), 'trouble')
  t.notMatch(node.logs.join(''), /relay-secret-7/, 'the path of a callback URL is in no log')
  t.notMatch(node.logs.join(''), /PRIVATE KEY/)
})
