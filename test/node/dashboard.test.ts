import { writeFileSync } from 'node:fs'
import process from 'node:process'
import t from 'tap'
import { findBrowser, startBrowser } from './browser.ts'
import { initBody, removeFolder, startNode, startPeer, until } from './peer.ts'

t.setTimeout(240_000)

t.test('the page and its files are served with a policy that forbids other hosts', async (t) => {
  const node = await startNode()
  t.teardown(async () => {
    await node.close()
    removeFolder(node.folder)
  })
  for (const [path, type] of [
    ['/', 'text/html'],
    ['/dashboard/page.css', 'text/css'],
    ['/dashboard/page.js', 'text/javascript'],
    ['/dashboard/uplot.js', 'text/javascript'],
    ['/dashboard/uplot.css', 'text/css'],
  ] as const) {
    const reply = await node.call('GET', path)
    t.equal(reply.status, 200, path)
    t.match(reply.headers.get('content-type'), type)
    t.match(reply.headers.get('content-security-policy'), /default-src 'none'/)
  }
  const data = (await node.call('GET', '/dashboard/data.json')).json
  t.match(data, { state: 'INFERENCE', model: 'test/model', stages: [], store: { degraded: false } })
})

const program = findBrowser()

t.test(
  'in a browser: live values, phone width, token, nothing from elsewhere',
  { skip: program === undefined && 'no browser here' },
  async (t) => {
    const peer = await startPeer()
    const node = await startNode({ 'engine.rate_limit': '200' })
    const locked = await startNode({ 'listen.token': 'open-sesame' })
    const browser = await startBrowser(program as string, t.testdir({}))
    t.teardown(async () => {
      await browser.close()
      await node.close()
      await locked.close()
      await peer.close()
      for (const each of [node, locked]) removeFolder(each.folder)
    })
    const text = (selector: string) =>
      browser.evaluate<string>(`document.querySelector(${JSON.stringify(selector)})?.innerText ?? ''`)
    const acknowledged = async () => {
      const tiles = await browser.evaluate<string[]>(`[...document.querySelectorAll('.tile')].map((e) => e.innerText)`)
      return Number((tiles.find((tile) => tile.includes('acknowledged')) ?? '').split('\n')[0]?.replaceAll(',', ''))
    }
    await browser.open(`${node.url}/`, 1280, 900)
    await until(async () => (await text('#state')) === 'inference · idle', 'the idle state', 60_000)
    await node.call('POST', '/api/v1/inference/pow/init/generate', initBody(peer.url))
    await until(async () => (await text('#state')) === 'inference · generating', 'the generating state', 60_000)
    await until(async () => (await acknowledged()) > 0, 'acknowledged artifacts', 60_000)
    const before = await acknowledged()
    await until(async () => (await acknowledged()) > before, 'values that change', 60_000)
    t.match(await text('#stages tbody'), /6218000\ttest\/model\tgenerating/)
    t.equal(await browser.evaluate<number>(`document.querySelectorAll('.chart canvas').length`), 3, 'three charts')
    t.equal(
      await browser.evaluate<number>(`document.getElementById('login').offsetHeight`),
      0,
      'no login without a token',
    )
    const wide = await browser.screenshot(true)
    await browser.open(`${node.url}/`, 360, 780)
    await until(async () => (await text('#state')) === 'inference · generating', 'the page on a phone', 60_000)
    const drawn = await acknowledged()
    await until(async () => (await acknowledged()) > drawn, 'a second value to draw', 60_000)
    const overflow = await browser.evaluate<number>(
      'document.documentElement.scrollWidth - document.documentElement.clientWidth',
    )
    t.equal(overflow, 0, 'no sideways scrolling at 360 pixels')
    const narrow = await browser.screenshot(true)
    if (process.env.SCREENSHOTS !== undefined) {
      writeFileSync(`${process.env.SCREENSHOTS}/wide.png`, wide)
      writeFileSync(`${process.env.SCREENSHOTS}/narrow.png`, narrow)
    }
    const foreign = browser.requests.filter((url) => !url.startsWith(node.url) && !/^(about|data|chrome):/.test(url))
    t.same(foreign, [], 'no request left the node')
    t.same(browser.errors, [], 'no error in the page')
    await browser.open(`${locked.url}/`, 800, 600)
    await until(async () => (await text('#state')) === 'locked', 'the login', 60_000)
    await browser.evaluate(
      `document.getElementById('token').value = 'open-sesame'; document.querySelector('#login button').click()`,
    )
    await until(async () => (await text('#state')) === 'inference · idle', 'the data behind the token', 60_000)
    t.notMatch(locked.logs.join(''), 'open-sesame')
  },
)
