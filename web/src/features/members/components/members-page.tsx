import { useState } from "react";
import { MemberRole } from "../../../gen/spinapis/auth/v1/members_pb";
import { Button, Copyable, Loading, Notice, ProblemNotice, SelectField, TextField } from "../../../shared/ui";
import { useAddMember } from "../api/add-member";
import { useMembers } from "../api/list-members";
import { useRemoveMember } from "../api/remove-member";
import { useUpdateMember } from "../api/update-member";
import { ROLES, ROLE_OPTIONS } from "../roles";

export function MembersPage({ workspaceId }: { workspaceId: string }) {
  const members = useMembers(workspaceId);
  const update = useUpdateMember(workspaceId);
  const remove = useRemoveMember(workspaceId);
  if (members.loading) return <Loading what="members" />;
  return (
    <div className="stack">
      <h1>Members</h1>
      {members.error && <ProblemNotice error={members.error} onRetry={members.again} />}
      {update.isError && <ProblemNotice error={update.error} />}
      {remove.isError && <ProblemNotice error={remove.error} />}
      <ul className="list">
        {members.items.map((member) => (
          <li key={member.userId} className="list__row">
            <div className="list__main">
              <span className="list__title">{member.displayName || member.email}</span>
              <span className="list__detail">{member.email}</span>
            </div>
            <select
              className="input"
              style={{ width: "auto" }}
              aria-label={`Role of ${member.email}`}
              value={member.role}
              onChange={(event) => {
                update.mutate({ userId: member.userId, role: Number(event.target.value), etag: member.etag });
              }}
            >
              {ROLES.map(({ role, name }) => (
                <option key={role} value={role}>
                  {name}
                </option>
              ))}
            </select>
            <Button
              small
              look="quiet"
              aria-label={`Remove ${member.email}`}
              onClick={() => {
                remove.mutate({ userId: member.userId, etag: member.etag });
              }}
            >
              Remove
            </Button>
          </li>
        ))}
      </ul>
      {members.more && (
        <Button busy={members.loadingMore} onClick={members.more}>
          Show more
        </Button>
      )}
      <AddMember workspaceId={workspaceId} />
    </div>
  );
}

function AddMember({ workspaceId }: { workspaceId: string }) {
  const [email, setEmail] = useState("");
  const [role, setRole] = useState(MemberRole.EDITOR);
  const add = useAddMember(workspaceId);
  const link = add.data?.signInToken && `${window.location.origin}/sign-in#token=${add.data.signInToken}`;
  return (
    <form
      className="stack"
      style={{ maxWidth: 520 }}
      onSubmit={(event) => {
        event.preventDefault();
        add.mutate({ email, role });
      }}
    >
      <h2>Add someone</h2>
      <TextField label="E-mail" type="email" required value={email} onChange={setEmail} />
      <SelectField
        label="Role"
        value={String(role)}
        options={ROLE_OPTIONS}
        onChange={(value) => {
          setRole(Number(value));
        }}
      />
      {add.isError && <ProblemNotice error={add.error} />}
      {link && (
        <Notice tone="ok" title="Added. Hand over this one-time sign-in link">
          <Copyable label="Sign-in link" text={link} />
        </Notice>
      )}
      {add.isSuccess && !link && <Notice tone="ok" title="Added. They can sign in already." />}
      <div className="row">
        <Button look="primary" type="submit" busy={add.isPending}>
          Add
        </Button>
      </div>
    </form>
  );
}
