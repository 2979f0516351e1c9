export { useAllMembers, useMembers } from "./api/list-members";
export { MembersPage } from "./components/members-page";
export { usePersonEmail, usePersonName } from "./use-person-name";
export { type Standing, useStanding } from "./use-role";
export { ROLES, ROLE_OPTIONS, roleName } from "./roles";
