export { useCurrentUser } from "./api/get-current-user";
export { useSignOut } from "./api/sign-out";
export { OIDC_PATH } from "./api/start-oidc-sign-in";
export { AccountPage } from "./components/account-page";
export { OidcPage } from "./components/oidc-page";
export { SignInPage } from "./components/sign-in-page";
