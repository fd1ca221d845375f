/**
 * What operators see of a running gateway: metrics, traces, and an event for each ledger entry.
 *
 * All of it is taken off the ports, around the gate and not in it: nothing here takes part in a
 * decision, and what goes wrong here stops no write. No attribute, label or event holds anything
 * that an agent wrote: names are those of the configuration, the rest are codes, counts and ids.
 */
import {
  context,
  SpanKind,
  SpanStatusCode,
  trace,
  type Attributes,
  type Meter,
} from '@opentelemetry/api';
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks';
import { PrometheusExporter, PrometheusSerializer } from '@opentelemetry/exporter-prometheus';
import { resourceFromAttributes } from '@opentelemetry/resources';
import { AggregationType, MeterProvider } from '@opentelemetry/sdk-metrics';
import {
  BatchSpanProcessor,
  TracerProvider,
  type SpanExporter,
  type SpanProcessor,
} from '@opentelemetry/sdk-trace';
import type { OpenGate } from '../gate.ts';
import { around } from '../lib/around.ts';
import { isRecord } from '../lib/record.ts';
import { leafMembers } from '../ledger/entry.ts';
import type { LeafMembers } from '../ledger/leaf.ts';
import type { Draft } from '../model/draft.ts';
import type { EntryBody } from '../model/entry.ts';
import type { Change, Store, Target } from '../model/ports.ts';

/** One ledger entry as the structured log has it: the leaf's own members, and where it belongs. */
export type LogEvent = LeafMembers & { readonly act: string; readonly at: number };

export interface Signals {
  gate(gate: OpenGate): OpenGate;
  store(store: Store): Store;
  target(target: Target): Target;
  /** The metrics in Prometheus' text form. */
  metrics(): Promise<string>;
  /** Sends what traces are left, within a few seconds; idempotent. */
  close(): Promise<void>;
}

export interface SignalOptions {
  readonly version: string;
  /** Names that may stand in a label: the configured agents. */
  readonly agents: () => Iterable<string>;
  /** Where spans go; null: none are made. */
  readonly exporter: SpanExporter | null;
  /** What is looked up whenever metrics are asked for. */
  readonly level: () => Promise<Level>;
  /** Told of each entry once it is durable; must not throw. */
  readonly onEvent: ((event: LogEvent) => void) | null;
}

/** How things stand now. */
export interface Level {
  /** Proposals that wait for people. */
  readonly waiting: number;
  /** Stops that are on. */
  readonly stops: number;
  readonly ledgerSize: number;
  /** Whether the file on disk is not in force. */
  readonly isPolicyStale: boolean;
  readonly targets: readonly { readonly name: string; readonly problem: string | null }[];
}

/** The standard variables that switch traces on. */
const ENDPOINTS = ['OTEL_EXPORTER_OTLP_TRACES_ENDPOINT', 'OTEL_EXPORTER_OTLP_ENDPOINT'] as const;

/**
 * The exporter that the standard environment variables ask for, or null. Address, headers and the
 * rest are read by the exporter itself, by their standard names.
 */
export async function exporterFor(
  environment: (name: string) => string | undefined,
): Promise<SpanExporter | null> {
  const isWanted = ENDPOINTS.some((name) => (environment(name) ?? '') !== '');
  if (!isWanted || environment('OTEL_SDK_DISABLED') === 'true') return null;
  const { OTLPTraceExporter } = await import('@opentelemetry/exporter-trace-otlp-http');
  return new OTLPTraceExporter();
}

const CALLS = [
  'preview',
  'propose',
  'approve',
  'cancel',
  'rollback',
  'read',
  'stop',
  'release',
] as const;
const TARGET_CALLS = ['plan', 'hold', 'apply', 'probe', 'read'] as const;

/** Seconds: a decision takes a fraction of a millisecond, a bulk preview minutes. */
const BUCKETS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60];

/** Opens them. Holds counters alone, which a restart begins anew, as Prometheus expects. */
export function openSignals(options: SignalOptions): Signals {
  const resource = resourceFromAttributes({
    'service.name': 'writegate',
    'service.version': options.version,
  });
  const reader = new PrometheusExporter({ preventServerStart: true });
  const meters = new MeterProvider({
    resource,
    readers: [reader],
    views: [
      {
        instrumentName: '*.duration.seconds',
        aggregation: {
          type: AggregationType.EXPLICIT_BUCKET_HISTOGRAM,
          options: { boundaries: BUCKETS },
        },
      },
    ],
  });
  const instruments = instrumentsOf(meters, options);
  const spans = spansOf(options, resource);
  const timed = timing(spans.tracer, instruments);
  const serializer = new PrometheusSerializer();
  return {
    gate: (gate) =>
      around(gate, [...CALLS], (call, _given, work) =>
        timed('call', { call }, work, (answer) => ({ ...stateOf(answer) })),
      ),
    target: (target) =>
      around(target, [...TARGET_CALLS], (call, _given, work) =>
        timed('target', { call, target: target.name }, work, kindOf),
      ),
    store: (store) =>
      around(store, ['commit'], async (call, [change], work) => {
        const commit = await timed('store', { call }, work, kindOf);
        // The port's own type: it is called with nothing else.
        if (isRecord(commit) && commit['kind'] === 'committed') told(change as Change);
        return commit;
      }),
    metrics: async () => {
      const { resourceMetrics } = await reader.collect();
      return serializer.serialize(resourceMetrics);
    },
    close: async () => {
      await Promise.all([spans.close(), meters.shutdown()]);
    },
  };

  function told(change: Change): void {
    const { tenant: _tenant, at, acts } = change;
    for (const { act, entries } of acts) {
      for (const body of entries) {
        instruments.count(body);
        options.onEvent?.({ ...leafMembers(body, null), act, at });
      }
    }
  }
}

// ---- metrics

type Part = 'call' | 'target' | 'store';

interface Instruments {
  count(body: EntryBody): void;
  took(part: Part, seconds: number, labels: Attributes): void;
}

function instrumentsOf(meters: MeterProvider, options: SignalOptions): Instruments {
  const meter = meters.getMeter('writegate', options.version);
  const counter = (name: string, description: string) =>
    meter.createCounter(`writegate.${name}`, { description });
  const entries = counter('entries', 'Ledger entries, by type');
  const decisions = counter('decisions', 'Decisions, by result and code');
  const proposals = counter('proposals', 'Proposals, by agent and target');
  const outcomes = counter('outcomes', 'Outcomes, by status and code');
  const approvals = counter('approvals', 'Decisions of people, by verdict');
  const records = counter('planned.records', 'Records that measured plans would change');
  const duration = (part: string, description: string) =>
    meter.createHistogram(`writegate.${part}.duration.seconds`, { description });
  observeLevel(meter, options.level);
  const durations: Readonly<Record<Part, ReturnType<typeof duration>>> = {
    call: duration('call', 'Calls of the gate, from arrival to answer'),
    target: duration('target', 'Calls of targets'),
    store: duration('store', 'Commits of the store, until they are durable'),
  };
  return {
    took: (part, seconds, labels) => durations[part].record(seconds, labels),
    count: (body) => {
      entries.add(1, { type: body.type });
      switch (body.type) {
        case 'proposal': {
          const { known, draft, proposer } = body;
          const agents = new Set(options.agents());
          proposals.add(1, {
            // What is not configured, and the order of several targets, is the agent's own word.
            target: known ? labelOf(draft) : 'unknown',
            agent: agents.has(proposer.name) ? proposer.name : proposer.kind,
          });
          return;
        }
        case 'decision':
          decisions.add(1, { result: body.result, code: body.decision.code });
          return;
        case 'outcome':
          outcomes.add(1, { status: body.status, code: body.code, resolved: body.resolved });
          return;
        case 'approval':
          approvals.add(1, { verdict: body.approval.verdict });
          return;
        case 'preview':
          records.add(body.assessment.blastRadius.records, { class: body.assessment.plan.class });
          return;
        default:
      }
    },
  };
}

function labelOf(draft: Draft): string {
  return draft.steps === undefined ? draft.target : 'several';
}

function observeLevel(meter: Meter, level: SignalOptions['level']): void {
  const gauge = (name: string, description: string) =>
    meter.createObservableGauge(`writegate.${name}`, { description });
  const waiting = gauge('waiting', 'Proposals that wait for people');
  const stops = gauge('stops', 'Stops that are on');
  const size = gauge('ledger.size', 'Entries of the ledger');
  const stale = gauge('policy.stale', '1 while the policy file on disk is not in force');
  const usable = gauge('target.usable', '1 while a target can be used');
  const all = [waiting, stops, size, stale, usable];
  meter.addBatchObservableCallback(async (observed) => {
    const now = await level();
    observed.observe(waiting, now.waiting);
    observed.observe(stops, now.stops);
    observed.observe(size, now.ledgerSize);
    observed.observe(stale, now.isPolicyStale ? 1 : 0);
    for (const { name, problem } of now.targets) {
      observed.observe(usable, problem === null ? 1 : 0, { target: name });
    }
  }, all);
}

// ---- traces

interface Spans {
  readonly tracer: ReturnType<TracerProvider['getTracer']> | null;
  close(): Promise<void>;
}

function spansOf(
  { exporter, version }: SignalOptions,
  resource: ReturnType<typeof resourceFromAttributes>,
): Spans {
  if (exporter === null) return { tracer: null, close: () => Promise.resolve() };
  // One for the process, and the first stays: spans find their parents through it.
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
  const processor: SpanProcessor = new BatchSpanProcessor({ exporter });
  const provider = new TracerProvider({ resource, spanProcessors: [processor] });
  return {
    tracer: provider.getTracer('writegate', version),
    close: () => provider.shutdown().catch(() => undefined),
  };
}

type Timed = (
  part: Part,
  labels: Attributes & { readonly call: string },
  work: () => Promise<unknown>,
  about: (answer: unknown) => Attributes,
) => Promise<unknown>;

/** Times a call, in a span of its own where traces are on. What it throws goes on as it was. */
function timing(tracer: Spans['tracer'], instruments: Instruments): Timed {
  return async (part, labels, work, about) => {
    const from = performance.now();
    const span = tracer?.startSpan(`${part} ${labels.call}`, {
      kind: part === 'call' ? SpanKind.SERVER : SpanKind.CLIENT,
      attributes: prefixed(labels),
    });
    const inSpan = span === undefined ? work : () => within(span, work);
    let found: Attributes = { state: 'thrown' };
    try {
      const answer = await inSpan();
      found = about(answer);
      return answer;
    } catch (error) {
      if (isRecord(error) && typeof error['code'] === 'string') found = { state: error['code'] };
      span?.setStatus({ code: SpanStatusCode.ERROR });
      throw error;
    } finally {
      span?.setAttributes(prefixed(found));
      span?.end();
      instruments.took(part, (performance.now() - from) / 1_000, { ...labels, ...found });
    }
  };
}

function within(
  span: Parameters<typeof trace.setSpan>[1],
  work: () => Promise<unknown>,
): Promise<unknown> {
  return context.with(trace.setSpan(context.active(), span), work);
}

function prefixed(attributes: Attributes): Attributes {
  return Object.fromEntries(
    Object.entries(attributes).map(([name, value]) => [`writegate.${name}`, value]),
  );
}

/** State and code of a result; nothing of a stop or a read. */
function stateOf(answer: unknown): Attributes {
  if (!isRecord(answer)) return {};
  const { state, code } = answer;
  return {
    ...(typeof state === 'string' && { state }),
    ...(typeof code === 'string' && { code }),
  };
}

/** `planned`, `refused`, `committed`, `conflict` …: a closed set of each port. */
function kindOf(answer: unknown): Attributes {
  if (answer === null) return { state: 'none' };
  return isRecord(answer) && typeof answer['kind'] === 'string' ? { state: answer['kind'] } : {};
}
