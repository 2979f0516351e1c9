export { useMembers } from "./api/list-members";
export { MembersPage } from "./components/members-page";
export { usePersonName } from "./use-person-name";
export { ROLE_OPTIONS, roleName } from "./roles";
