import fc from 'fast-check'
import t from 'tap'
import { maxNonceCount, parseNonceList } from '../../lib/protocol/nonce-list.ts'
import { checkedPartition, inPartition, partitionNonces, wholePartition } from '../../lib/protocol/partition.ts'

t.setTimeout(0)

t.test('nonce lists', async (t) => {
  t.same([...parseNonceList('0-3,2147483647')], [0n, 1n, 2n, 3n, 2147483647n])
  t.same([...parseNonceList(' 7 , 9007199254740991')], [7n, 9007199254740991n], 'spaces and the largest nonce')
  t.same([...parseNonceList('5,1-2')], [5n, 1n, 2n], 'order is kept')
  const refused: [string, RegExp][] = [
    ['', /neither a nonce nor a range/],
    ['1,,2', /neither a nonce nor a range/],
    ['-1', /neither a nonce nor a range/],
    ['0x10', /neither a nonce nor a range/],
    ['1e3', /neither a nonce nor a range/],
    ['1-2-3', /neither a nonce nor a range/],
    ['9007199254740992', /above 2\^53-1/],
    ['99999999999999999', /neither a nonce nor a range/],
    ['3-1', /runs backwards; write 1-3/],
    ['1,2,1', /nonce 1 is listed twice/],
    ['0-10,5-20', /nonce 5 is listed twice/],
    [`0-${maxNonceCount}`, /more than 16777216 nonces/],
    ['0-9007199254740991', /more than 16777216 nonces/],
    ['0-10000000,20000000-30000000', /more than 16777216 nonces/],
  ]
  for (const [text, message] of refused) t.throws(() => parseNonceList(text), { code: 'ERR_GK_NONCES', message }, text)
})

t.test('partition', async (t) => {
  t.same(
    [...partitionNonces({ nodeId: 1n, nodeCount: 2n, groupId: 1n, groupCount: 3n }, 0n, 3)],
    [3n, 9n, 15n],
    'node_id + group_id * node_count + x * n_groups * node_count',
  )
  t.same([...partitionNonces(wholePartition, 5n, 2)], [5n, 6n])
  t.notOk(inPartition(-3n, { nodeId: 1n, nodeCount: 2n, groupId: 0n, groupCount: 1n }), 'negative')
  t.notOk(inPartition(1n, { nodeId: 1n, nodeCount: 2n, groupId: 1n, groupCount: 3n }), 'below the first')
  t.throws(() => partitionNonces(wholePartition, 2n ** 53n - 2n, 3), { code: 'ERR_GK_NONCES' })
  t.same([...partitionNonces(wholePartition, 2n ** 53n - 2n, 2)], [2n ** 53n - 2n, 2n ** 53n - 1n])
  for (const wrong of [
    { ...wholePartition, nodeCount: 0n },
    { ...wholePartition, nodeId: 1n },
    { ...wholePartition, nodeId: -1n },
    { ...wholePartition, groupCount: 0n },
    { ...wholePartition, groupId: 1n },
    { ...wholePartition, nodeCount: 2n ** 31n },
  ]) {
    t.throws(() => checkedPartition(wrong), { code: 'ERR_GK_INVALID_ARGUMENT' })
  }
})

t.test('every nonce belongs to exactly one node and group', async () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 7 }),
      fc.integer({ min: 1, max: 5 }),
      fc.nat(100_000),
      (nodes, groups, nonce) => {
        let owners = 0
        for (let node = 0; node < nodes; node++) {
          for (let group = 0; group < groups; group++) {
            const partition = {
              nodeId: BigInt(node),
              nodeCount: BigInt(nodes),
              groupId: BigInt(group),
              groupCount: BigInt(groups),
            }
            if (inPartition(BigInt(nonce), partition)) owners++
          }
        }
        return owners === 1
      },
    ),
  )
})
