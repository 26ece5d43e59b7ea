import ExecboxModel

/// Who makes a call: the key that was shown, and whose it is.
package struct Caller: Hashable, Sendable {
    package var accountID: AccountID
    package var keyID: KeyID

    package init(accountID: AccountID, keyID: KeyID) {
        self.accountID = accountID
        self.keyID = keyID
    }
}
