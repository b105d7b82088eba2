// Reads /dashboard/data.json once a second and draws it. No framework, nothing from other hosts.
;(() => {
  const keep = 300
  const byId = (id) => document.getElementById(id)
  const number = new Intl.NumberFormat('en', { maximumFractionDigits: 1 })
  const show = (value) => (value === null || value === undefined ? '–' : number.format(value))
  const time = new Intl.DateTimeFormat('en-GB', { hour: '2-digit', minute: '2-digit', second: '2-digit' })
  const series = { at: [], rate: [], waiting: [], delivered: [] }
  const charts = {}
  let token = sessionStorage.getItem('token') || ''

  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim()

  function chart(id, label) {
    const box = byId(id)
    const axis = {
      stroke: colour('--quiet'),
      grid: { stroke: colour('--line'), width: 1 },
      ticks: { stroke: colour('--line') },
    }
    const options = {
      width: Math.max(200, box.clientWidth),
      height: 190,
      legend: { show: false },
      cursor: { y: false },
      // Ten seconds at least: a single value would have no width.
      scales: {
        x: { range: (_chart, min, max) => [Math.min(min, max - 10), max] },
        y: { range: (_chart, _min, max) => [0, Math.max(1, max * 1.1)] },
      },
      axes: [
        {
          ...axis,
          space: 90,
          size: 34,
          incrs: [1, 2, 5, 10, 15, 30, 60, 120, 300],
          values: (_chart, at) => at.map((seconds) => time.format(seconds * 1000)),
        },
        {
          ...axis,
          size: 64,
          incrs: [1, 2, 5, 10, 20, 50, 1e2, 2e2, 5e2, 1e3, 2e3, 5e3, 1e4, 2e4, 5e4, 1e5, 2e5, 5e5, 1e6],
          values: (_chart, values) => values.map((v) => number.format(v)),
        },
      ],
      series: [
        {},
        { label, stroke: colour('--accent'), width: 2, points: { show: false }, fill: `${colour('--accent')}22` },
      ],
    }
    return new uPlot(options, [[], []], box)
  }

  function tile(label, value, bad) {
    const node = document.createElement('div')
    node.className = bad ? 'tile bad' : 'tile'
    const strong = document.createElement('b')
    strong.textContent = value
    const text = document.createElement('span')
    text.textContent = label
    node.append(strong, text)
    return node
  }

  /** By the node's clock: this machine's may differ. */
  function clock(stage, now) {
    if (stage.closed) return stage.closed
    const left = stage.started + stage.deadline_ms - now
    const seconds = Math.max(0, Math.round(left / 1000))
    const word = stage.generating ? 'generating' : 'stopped'
    return `${word}, ${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, '0')} left`
  }

  /** What was given up, and why. */
  function dropped(stage) {
    const why = Object.keys(stage.dropped_by)
    return stage.dropped > 0 ? `${show(stage.dropped)} (${why.join('; ')})` : '0'
  }

  function row(cells) {
    const line = document.createElement('tr')
    cells.forEach((cell, i) => {
      const td = document.createElement('td')
      if (i > 2) td.className = 'n'
      td.textContent = cell
      line.append(td)
    })
    return line
  }

  function draw(data) {
    const status = data.poc_status || 'IDLE'
    const pill = byId('state')
    pill.textContent = data.state === 'STOPPED' ? 'stopped' : `${data.state.toLowerCase()} · ${status.toLowerCase()}`
    pill.className = `pill ${data.store.degraded ? 'bad' : status === 'IDLE' ? 'good' : data.state === 'STOPPED' ? '' : 'busy'}`
    byId('model').textContent = data.model || 'no model'
    byId('tiles').replaceChildren(
      tile('nonces / minute', show(data.nonces_per_minute)),
      tile('computed', show(data.nonces_computed)),
      tile('acknowledged', show(data.acknowledged)),
      tile('waiting to be sent', show(data.artifacts_waiting), data.artifacts_waiting > 50000),
      tile('validation queue', show(data.validation_nonces_queued)),
      tile('dropped', show(data.dropped), data.dropped > 0),
      tile('failed batches', show(data.batch_failures), data.batch_failures > 0),
      tile('power, W', show(data.power_w)),
      tile('joules / nonce', show(data.joules_per_nonce)),
      tile(
        data.store.degraded ? 'disk refuses writes' : 'disk',
        data.store.degraded ? 'failing' : 'ok',
        data.store.degraded,
      ),
    )
    series.at.push(data.at / 1000)
    series.rate.push(data.nonces_per_minute)
    series.waiting.push(data.artifacts_waiting)
    series.delivered.push(data.acknowledged)
    for (const list of Object.values(series)) if (list.length > keep) list.shift()
    for (const [id, values] of [
      ['rate', series.rate],
      ['waiting', series.waiting],
      ['delivered', series.delivered],
    ]) {
      charts[id] ||= chart(id, id)
      charts[id].setData([series.at, values])
    }
    byId('stages').tBodies[0].replaceChildren(
      ...(data.stages.length === 0
        ? [row(['–', '', 'no stage yet', '', '', '', ''])]
        : data.stages
            .slice(0, 10)
            .map((s) =>
              row([
                s.height,
                s.model,
                clock(s, data.at),
                show(s.generated),
                show(s.acknowledged),
                show(s.waiting),
                dropped(s),
              ]),
            )),
    )
    byId('devices').textContent = data.devices.length
      ? data.devices
          .map(
            (d) =>
              `${d.index} ${d.name} · ${show(d.utilization_percent)} % · ${show(d.temperature_c)} °C · ${show(d.power_w)} W`,
          )
          .join('\n')
      : data.engines.join(', ')
    byId('footer').textContent =
      `version ${data.version} · memory ${show(data.resident_mb)} MB · event loop p99 ${show(data.event_loop_delay_p99_ms)} ms · ` +
      `updated ${time.format(data.at)}`
  }

  function lost(text) {
    byId('state').textContent = text
    byId('state').className = 'pill bad'
  }

  async function refresh() {
    try {
      const answer = await fetch('/dashboard/data.json', { headers: token ? { authorization: `Bearer ${token}` } : {} })
      const locked = answer.status === 401
      byId('login').hidden = !locked
      byId('main').hidden = locked
      if (locked) lost('locked')
      else if (answer.ok) draw(await answer.json())
      else lost(`error ${answer.status}`)
    } catch {
      lost('node does not answer')
    }
    setTimeout(refresh, 1000)
  }

  byId('login').addEventListener('submit', (event) => {
    event.preventDefault()
    token = byId('token').value
    sessionStorage.setItem('token', token)
  })
  addEventListener('resize', () => {
    for (const [id, plot] of Object.entries(charts))
      plot.setSize({ width: Math.max(200, byId(id).clientWidth), height: 190 })
  })
  refresh()
})()
