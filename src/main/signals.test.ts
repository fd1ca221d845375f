import assert from 'node:assert/strict';
import { test } from 'node:test';
import { InMemorySpanExporter } from '@opentelemetry/sdk-trace';
import { openGate, type OpenGate } from '../gate.ts';
import { parseConfiguration } from '../policy/parse.ts';
import { scoreOf } from '../policy/stages/risk.ts';
import {
  agent,
  human,
  idOf,
  POLICY,
  setDraft,
  testGate,
  type TestGate,
} from '../../test/support/gate.ts';
import { exporterFor, openSignals, type LogEvent, type Signals } from './signals.ts';

const bot = agent('bot');
const clerk = agent('clerk');
const SECRET = 'hunter2-in-the-arguments';

/** They are looked at after the end. */
class KeptSpans extends InMemorySpanExporter {
  override shutdown(): Promise<void> {
    return Promise.resolve();
  }
}

interface Observed {
  readonly bench: TestGate;
  readonly gate: OpenGate;
  readonly signals: Signals;
  readonly events: readonly LogEvent[];
  readonly exporter: KeptSpans;
}

async function observed(): Promise<Observed> {
  const bench = await testGate();
  const events: LogEvent[] = [];
  const exporter = new KeptSpans();
  const signals = openSignals({
    version: '0.0.0',
    agents: () => ['bot', 'clerk'],
    exporter,
    level: async () => ({
      waiting: (await bench.store.inStates(['waiting'], 10)).length,
      stops: 0,
      ledgerSize: (await bench.store.tree(bot.tenant)).size,
      isPolicyStale: false,
      targets: [{ name: 'kv', problem: 'it is down' }],
    }),
    onEvent: (event) => events.push(event),
  });
  const target = signals.target(bench.target);
  const policy = parseConfiguration(POLICY, 'test.yaml').policy;
  const gate = openGate(
    {
      store: signals.store(bench.store),
      targets: { find: (name) => (name === 'kv' ? target : undefined), names: () => ['kv'] },
      clock: bench.clock,
      random: { bytes: (count) => crypto.getRandomValues(new Uint8Array(count)) },
      notifier: { waiting: async () => undefined },
    },
    { holder: 'test/1', policy: () => policy, score: scoreOf, links: { human: () => null } },
  );
  return { bench, gate: signals.gate(gate), signals, events, exporter };
}

async function play({ gate }: Observed): Promise<void> {
  await gate.propose(bot, setDraft('a', SECRET, { run: SECRET }));
  await gate.propose(bot, setDraft('a', SECRET, { idempotencyKey: SECRET }));
  await gate.propose(bot, setDraft(SECRET, '1', { target: SECRET }));
  const waiting = await gate.propose(clerk, setDraft('b', '3'));
  const body = { planDigest: waiting.planDigest ?? '', verdict: 'approve' } as const;
  await gate.approve(human('ann'), idOf(waiting.proposalId), body);
  await gate.propose(clerk, setDraft('b', '4'));
}

test('metrics count what became durable, by code, in the text form of Prometheus', async () => {
  const there = await observed();
  await play(there);
  const text = await there.signals.metrics();
  const value = (name: string, ...labels: readonly string[]): number => {
    const line = text
      .split('\n')
      .find((each) => each.startsWith(`${name}{`) && labels.every((one) => each.includes(one)));
    return Number(line?.split(' ')[1] ?? Number.NaN);
  };
  assert.equal(value('writegate_decisions_total', 'result="allow"', 'code="approved"'), 1);
  assert.equal(value('writegate_decisions_total', 'code="duplicate-write"'), 1);
  assert.equal(value('writegate_decisions_total', 'code="unknown-target"'), 1);
  assert.equal(value('writegate_decisions_total', 'result="wait"'), 2);
  assert.equal(value('writegate_outcomes_total', 'status="applied"'), 2);
  assert.equal(value('writegate_approvals_total', 'verdict="approve"'), 1);
  assert.equal(value('writegate_proposals_total', 'target="unknown"', 'agent="bot"'), 1);
  assert.equal(value('writegate_waiting'), 1);
  assert.equal(value('writegate_target_usable', 'target="kv"'), 0);
  assert.equal(value('writegate_call_duration_seconds_count', 'state="applied"', 'propose'), 1);
  assert.ok(value('writegate_store_duration_seconds_count', 'state="committed"') >= 6);
  assert.match(text, /^# HELP writegate_decisions_total /m);
  assert.doesNotMatch(text, /hunter2/);
});

test('a trace of a call holds the calls of store and target that it made, and no argument', async () => {
  const there = await observed();
  await play(there);
  await there.signals.close();
  const spans = there.exporter.getFinishedSpans();
  const call = spans.find(
    ({ name, attributes }) =>
      name === 'call propose' && attributes['writegate.state'] === 'applied',
  );
  assert.ok(call !== undefined);
  const within = spans.filter(
    (span) => span.parentSpanContext?.spanId === call.spanContext().spanId,
  );
  const names = within.map(({ name }) => name);
  assert.ok(names.includes('store commit'), names.join(' '));
  assert.ok(names.includes('target apply'), names.join(' '));
  const said = JSON.stringify(
    spans.map(({ name, attributes, events }) => [name, attributes, events]),
  );
  assert.doesNotMatch(said, /hunter2/);
});

test('each entry is an event in members that no agent wrote', async () => {
  const there = await observed();
  await play(there);
  const types = there.events.map(({ type }) => type);
  assert.equal(types.filter((type) => type === 'proposal').length, 5);
  assert.deepEqual(
    there.events.filter(({ act }) => act === there.events[0]?.act).map(({ type }) => type),
    ['proposal', 'preview', 'decision', 'intent', 'outcome'],
  );
  assert.doesNotMatch(JSON.stringify(there.events), /hunter2/);
});

test('a call that throws is counted by its code, and thrown as it was', async () => {
  const there = await observed();
  await assert.rejects(there.gate.stop(bot, { kind: 'all' }, 'x'), { code: 'credential-kind' });
  assert.match(
    await there.signals.metrics(),
    /writegate_call_duration_seconds_count\{[^}]*call="stop"[^}]*state="credential-kind"/,
  );
});

test('traces are off until the standard variables ask for them', async () => {
  assert.equal(await exporterFor(() => undefined), null);
  const asked = new Map([['OTEL_EXPORTER_OTLP_ENDPOINT', 'http://127.0.0.1:4318']]);
  const exporter = await exporterFor((name) => asked.get(name));
  assert.ok(exporter !== null);
  await exporter.shutdown();
  asked.set('OTEL_SDK_DISABLED', 'true');
  assert.equal(await exporterFor((name) => asked.get(name)), null);
});
