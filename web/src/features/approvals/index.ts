export type { Wanted } from "./api/request-approval";
export { ApprovalNotice } from "./components/approval-notice";
export { ApprovalsPage } from "./components/approvals-page";
