//! Names of codes that peers send: what to type into a search engine.

/// Kerberos errors (RFC 4120 section 7.5.9).
pub(super) fn kerberos(code: u32) -> Option<&'static str> {
    Some(match code {
        1 => "KDC_ERR_NAME_EXP",
        2 => "KDC_ERR_SERVICE_EXP",
        3 => "KDC_ERR_BAD_PVNO",
        6 => "KDC_ERR_C_PRINCIPAL_UNKNOWN",
        7 => "KDC_ERR_S_PRINCIPAL_UNKNOWN",
        8 => "KDC_ERR_PRINCIPAL_NOT_UNIQUE",
        9 => "KDC_ERR_NULL_KEY",
        12 => "KDC_ERR_POLICY",
        13 => "KDC_ERR_BADOPTION",
        14 => "KDC_ERR_ETYPE_NOSUPP",
        15 => "KDC_ERR_SUMTYPE_NOSUPP",
        16 => "KDC_ERR_PADATA_TYPE_NOSUPP",
        18 => "KDC_ERR_CLIENT_REVOKED",
        20 => "KDC_ERR_TGT_REVOKED",
        23 => "KDC_ERR_KEY_EXPIRED",
        24 => "KDC_ERR_PREAUTH_FAILED",
        25 => "KDC_ERR_PREAUTH_REQUIRED",
        26 => "KDC_ERR_SERVER_NOMATCH",
        29 => "KDC_ERR_SVC_UNAVAILABLE",
        31 => "KRB_AP_ERR_BAD_INTEGRITY",
        32 => "KRB_AP_ERR_TKT_EXPIRED",
        37 => "KRB_AP_ERR_SKEW",
        41 => "KRB_AP_ERR_MODIFIED",
        52 => "KRB_ERR_RESPONSE_TOO_BIG",
        60 => "KRB_ERR_GENERIC",
        68 => "KDC_ERR_WRONG_REALM",
        _ => return None,
    })
}

/// LDAP result codes (RFC 4511 section 4.1.9).
pub(super) fn ldap(code: u8) -> Option<&'static str> {
    Some(match code {
        1 => "operationsError",
        2 => "protocolError",
        3 => "timeLimitExceeded",
        4 => "sizeLimitExceeded",
        7 => "authMethodNotSupported",
        8 => "strongerAuthRequired",
        10 => "referral",
        11 => "adminLimitExceeded",
        13 => "confidentialityRequired",
        14 => "saslBindInProgress",
        32 => "noSuchObject",
        34 => "invalidDNSyntax",
        48 => "inappropriateAuthentication",
        49 => "invalidCredentials",
        50 => "insufficientAccessRights",
        51 => "busy",
        52 => "unavailable",
        53 => "unwillingToPerform",
        80 => "other",
        _ => return None,
    })
}

/// TLS alerts (RFC 8446 section 6, RFC 5246 section 7.2; IANA "TLS Alerts").
pub(super) fn tls_alert(code: u32) -> Option<&'static str> {
    Some(match code {
        0 => "close_notify",
        10 => "unexpected_message",
        20 => "bad_record_mac",
        22 => "record_overflow",
        40 => "handshake_failure",
        41 => "no_certificate",
        42 => "bad_certificate",
        43 => "unsupported_certificate",
        44 => "certificate_revoked",
        45 => "certificate_expired",
        46 => "certificate_unknown",
        47 => "illegal_parameter",
        48 => "unknown_ca",
        49 => "access_denied",
        50 => "decode_error",
        51 => "decrypt_error",
        70 => "protocol_version",
        71 => "insufficient_security",
        80 => "internal_error",
        86 => "inappropriate_fallback",
        90 => "user_canceled",
        100 => "no_renegotiation",
        109 => "missing_extension",
        110 => "unsupported_extension",
        112 => "unrecognized_name",
        113 => "bad_certificate_status_response",
        115 => "unknown_psk_identity",
        116 => "certificate_required",
        120 => "no_application_protocol",
        _ => return None,
    })
}

/// Reasons to disconnect, without their common prefix (RFC 4250 section 4.2.2).
pub(super) fn ssh(code: u32) -> Option<&'static str> {
    Some(match code {
        1 => "HOST_NOT_ALLOWED_TO_CONNECT",
        2 => "PROTOCOL_ERROR",
        3 => "KEY_EXCHANGE_FAILED",
        5 => "MAC_ERROR",
        6 => "COMPRESSION_ERROR",
        7 => "SERVICE_NOT_AVAILABLE",
        8 => "PROTOCOL_VERSION_NOT_SUPPORTED",
        9 => "HOST_KEY_NOT_VERIFIABLE",
        10 => "CONNECTION_LOST",
        11 => "BY_APPLICATION",
        12 => "TOO_MANY_CONNECTIONS",
        13 => "AUTH_CANCELLED_BY_USER",
        14 => "NO_MORE_AUTH_METHODS_AVAILABLE",
        15 => "ILLEGAL_USER_NAME",
        _ => return None,
    })
}

/// NT status values that end a session or a share (MS-ERREF section 2.3.1).
pub(super) fn nt_status(code: u32) -> Option<&'static str> {
    Some(match code {
        0xc000_000d => "STATUS_INVALID_PARAMETER",
        0xc000_0022 => "STATUS_ACCESS_DENIED",
        0xc000_005e => "STATUS_NO_LOGON_SERVERS",
        0xc000_0064 => "STATUS_NO_SUCH_USER",
        0xc000_006a => "STATUS_WRONG_PASSWORD",
        0xc000_006d => "STATUS_LOGON_FAILURE",
        0xc000_006e => "STATUS_ACCOUNT_RESTRICTION",
        0xc000_006f => "STATUS_INVALID_LOGON_HOURS",
        0xc000_0070 => "STATUS_INVALID_WORKSTATION",
        0xc000_0071 => "STATUS_PASSWORD_EXPIRED",
        0xc000_0072 => "STATUS_ACCOUNT_DISABLED",
        0xc000_009a => "STATUS_INSUFFICIENT_RESOURCES",
        0xc000_00bb => "STATUS_NOT_SUPPORTED",
        0xc000_00c9 => "STATUS_NETWORK_NAME_DELETED",
        0xc000_00ca => "STATUS_NETWORK_ACCESS_DENIED",
        0xc000_00cc => "STATUS_BAD_NETWORK_NAME",
        0xc000_00d0 => "STATUS_REQUEST_NOT_ACCEPTED",
        0xc000_0133 => "STATUS_TIME_DIFFERENCE_AT_DC",
        0xc000_015b => "STATUS_LOGON_TYPE_NOT_GRANTED",
        0xc000_018b => "STATUS_NO_TRUST_SAM_ACCOUNT",
        0xc000_018d => "STATUS_TRUSTED_RELATIONSHIP_FAILURE",
        0xc000_0193 => "STATUS_ACCOUNT_EXPIRED",
        0xc000_0203 => "STATUS_USER_SESSION_DELETED",
        0xc000_0205 => "STATUS_INSUFF_SERVER_RESOURCES",
        0xc000_0224 => "STATUS_PASSWORD_MUST_CHANGE",
        0xc000_0234 => "STATUS_ACCOUNT_LOCKED_OUT",
        0xc000_035c => "STATUS_NETWORK_SESSION_EXPIRED",
        0xc000_0413 => "STATUS_AUTHENTICATION_FIREWALL_FAILED",
        0xc000_0418 => "STATUS_NTLM_BLOCKED",
        _ => return None,
    })
}

/// Status class and detail of an iSCSI login (RFC 7143 section 11.13.5).
pub(super) fn iscsi(code: u32) -> Option<&'static str> {
    Some(match code {
        0x0200 => "initiator error",
        0x0201 => "authentication failure",
        0x0202 => "authorization failure",
        0x0203 => "target not found",
        0x0204 => "target removed",
        0x0205 => "unsupported version",
        0x0206 => "too many connections",
        0x0207 => "missing parameter",
        0x0208 => "cannot be included in the session",
        0x0209 => "session type not supported",
        0x020a => "session does not exist",
        0x020b => "invalid request during login",
        0x0300 => "target error",
        0x0301 => "service unavailable",
        0x0302 => "out of resources",
        _ => return None,
    })
}

/// Reasons of a rejected association (C706 section 12.6.3.1, MS-RPCE section 2.2.2.5).
pub(super) fn bind_nak(code: u32) -> Option<&'static str> {
    Some(match code {
        0 => "reason_not_specified",
        1 => "temporary_congestion",
        2 => "local_limit_exceeded",
        3 => "called_paddr_unknown",
        4 => "protocol_version_not_supported",
        5 => "default_context_not_supported",
        6 => "user_data_not_readable",
        7 => "no_psap_available",
        8 => "authentication_type_not_recognized",
        9 => "invalid_checksum",
        _ => return None,
    })
}

/// Reasons of a rejected presentation context (C706 section 12.6.3.1).
pub(super) fn context_rejected(code: u32) -> Option<&'static str> {
    Some(match code {
        0 => "reason_not_specified",
        1 => "abstract_syntax_not_supported",
        2 => "proposed_transfer_syntaxes_not_supported",
        3 => "local_limit_exceeded",
        _ => return None,
    })
}

/// Status of a fault: what the call met (C706 appendix E; MS-ERREF section 2.2).
pub(super) fn rpc_fault(code: u32) -> Option<&'static str> {
    Some(match code {
        0x0000_0005 => "rpc_s_access_denied",
        0x0000_06b5 => "RPC_S_UNKNOWN_IF",
        0x0000_06d1 => "RPC_S_PROCNUM_OUT_OF_RANGE",
        0x0000_06e4 => "RPC_S_CANNOT_SUPPORT",
        0x0000_06f7 => "RPC_X_BAD_STUB_DATA",
        0x0000_0721 => "RPC_S_SEC_PKG_ERROR",
        0x1c01_0002 => "nca_s_op_rng_error",
        0x1c01_0003 => "nca_s_unk_if",
        0x1c01_000b => "nca_s_proto_error",
        0x1c01_0014 => "nca_s_server_too_busy",
        0x1c00_001a => "nca_s_fault_context_mismatch",
        _ => return None,
    })
}

/// What the listener means by the commonest of its numbers, in our words (Oracle Database Error Messages, ORA-12500 to ORA-12699).
pub(super) fn oracle(code: u32) -> Option<&'static str> {
    Some(match code {
        12505 => "the listener does not know the SID",
        12514 => "the listener does not know the service",
        12516 => "no handler with a matching protocol",
        12518 => "the listener could not hand the client over",
        12519 => "no handler for the service",
        12520 => "no handler of the requested kind",
        12526 => "instances are in restricted mode",
        12527 => "instances are in restricted mode or blocking",
        12528 => "instances block new connections",
        12529 => "connection refused by filtering rules",
        12537 => "connection closed",
        12547 => "lost contact",
        12560 => "protocol adapter error",
        _ => return None,
    })
}

/// Status codes of proxies (RFC 9110 section 15).
pub(super) fn http(code: u32) -> Option<&'static str> {
    Some(match code {
        403 => "Forbidden",
        407 => "Proxy Authentication Required",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        _ => return None,
    })
}
