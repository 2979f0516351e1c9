export { useMembers } from "./api/list-members";
export { MembersPage } from "./components/members-page";
