import { type ReactNode, useId, useState } from "react";
import type { WorkspacePolicy } from "../../../gen/spinapis/auth/v1/policy_pb";
import { EgressMode } from "../../../gen/spinapis/envelope/v1/attach_pb";
import { ErrorReason } from "../../../gen/spinapis/errors/v1/reasons_pb";
import { type Problem, problemOf } from "../../../shared/api/problem";
import { formatTime } from "../../../shared/clock";
import { Button, Field, ProblemText, TextField } from "../../../shared/ui";
import { usePersonName } from "../../members";
import { type News, useUpdateWorkspacePolicy } from "../api/update-workspace-policy";
import {
  GRACE_MOST_HOURS,
  MODES,
  type PolicyForm as Form,
  changeOf,
  faultOf,
  formOf,
  graceFault,
  sameForm,
} from "../model/policy-form";

interface Props {
  policy: WorkspacePolicy;
  /** Why the person's role changes nothing here: the form can be read all the same. */
  whyNot: string | undefined;
  onNews: (news: News | undefined) => void;
}

export function PolicyForm({ policy, whyNot, onNews }: Props) {
  const [first] = useState(() => formOf(policy));
  const [form, setForm] = useState(first);
  const update = useUpdateWorkspacePolicy(policy.workspaceId, policy.etag, onNews);
  const problem = update.error ? problemOf(update.error) : undefined;
  const overtaken = problem?.reason === ErrorReason.ETAG_MISMATCH;
  const beside = faultOf(problem, "egress.hosts") ?? faultOf(problem, "trust_grace_ms");
  const part: PartProps = {
    form,
    problem,
    whyNot,
    onChange: (change) => {
      setForm({ ...form, ...change });
    },
  };
  return (
    <form
      className="stack"
      onSubmit={(event) => {
        event.preventDefault();
        if (graceFault(form.graceHours)) return;
        onNews(undefined);
        update.mutate(changeOf(form));
      }}
    >
      <Egress {...part} />
      <Trust {...part} />
      {problem && !overtaken && !beside && <ProblemText problem={problem} />}
      <div className="row">
        <Button look="primary" type="submit" whyNot={whyNot} busy={update.isPending} disabled={sameForm(form, first)}>
          Save
        </Button>
        <Changed policy={policy} />
      </div>
    </form>
  );
}

interface PartProps extends Pick<Props, "whyNot"> {
  form: Form;
  problem: Problem | undefined;
  onChange: (change: Partial<Form>) => void;
}

function Part({ title, whyNot, children }: Pick<Props, "whyNot"> & { title: string; children: ReactNode }) {
  return (
    <fieldset className="policy__part" disabled={whyNot !== undefined} {...(whyNot ? { title: whyNot } : {})}>
      <legend>{title}</legend>
      {children}
    </fieldset>
  );
}

function Egress({ form, problem, whyNot, onChange }: PartProps) {
  const id = useId();
  return (
    <Part title="Egress: where code in kernels may connect to" whyNot={whyNot}>
      {MODES.map(({ mode, name, hint }) => (
        <div key={mode} className="policy__mode">
          <input
            type="radio"
            name="egress"
            id={`${id}-${mode}`}
            aria-describedby={`${id}-${mode}-hint`}
            checked={form.mode === mode}
            onChange={() => {
              onChange({ mode });
            }}
          />
          <label htmlFor={`${id}-${mode}`}>{name}</label>
          <span className="field__hint" id={`${id}-${mode}-hint`}>
            {hint}
          </span>
          {mode === EgressMode.ALLOW_LIST && form.mode === mode && (
            <div className="policy__hosts">
              <Hosts
                value={form.hosts}
                fault={faultOf(problem, "egress.hosts")}
                onChange={(hosts) => {
                  onChange({ hosts });
                }}
              />
            </div>
          )}
        </div>
      ))}
    </Part>
  );
}

function Trust({ form, problem, whyNot, onChange }: PartProps) {
  return (
    <Part title="Trust of the workspace’s own runtimes" whyNot={whyNot}>
      <TextField
        label="Grace in hours"
        hint={`How long they go on when nobody renews their trust: 0 to ${GRACE_MOST_HOURS}.`}
        type="number"
        min={0}
        max={GRACE_MOST_HOURS}
        step="any"
        required
        value={form.graceHours}
        error={graceFault(form.graceHours) ?? faultOf(problem, "trust_grace_ms")}
        onChange={(graceHours) => {
          onChange({ graceHours });
        }}
      />
    </Part>
  );
}

interface HostsProps {
  value: string;
  fault: string | undefined;
  onChange: (hosts: string) => void;
}

function Hosts({ value, fault, onChange }: HostsProps) {
  return (
    <Field
      label="Hosts"
      hint="One on each line, with its port: pypi.org:443. *.pypi.org:443 is every name below it."
      error={fault}
    >
      {(control) => (
        <textarea
          className="input"
          spellCheck={false}
          {...control}
          value={value}
          onChange={(event) => {
            onChange(event.target.value);
          }}
        />
      )}
    </Field>
  );
}

function Changed({ policy }: { policy: WorkspacePolicy }) {
  const nameOf = usePersonName(policy.workspaceId);
  if (policy.updatedAtMs === 0n) return <span className="list__detail">Nobody changed it yet.</span>;
  return (
    <span className="list__detail">
      Changed {formatTime(policy.updatedAtMs)} by {nameOf(policy.updatedBy)}
    </span>
  );
}
