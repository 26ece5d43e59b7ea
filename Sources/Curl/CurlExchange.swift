import CCurl
import Glibc

/// The libcurl side of one transfer: its easy handle, options and callbacks. Lives on the loop's thread only.
final class CurlExchange {
    let transfer: CurlTransfer
    let handle: UnsafeMutableRawPointer
    private let errorText: UnsafeMutablePointer<CChar>
    private var headerList: UnsafeMutablePointer<curl_slist>?
    private let closedSockets: CurlClosedSockets
    private var hasRefusedAddress = false
    /// The sockets that were opened for this request; none when it travels on a connection that was there.
    private var sockets: [curl_socket_t] = []

    init?(_ transfer: CurlTransfer, closedSockets: CurlClosedSockets) {
        guard let handle = curl_easy_init() else { return nil }
        self.transfer = transfer
        self.closedSockets = closedSockets
        self.handle = handle
        errorText = .allocate(capacity: Int(CURL_ERROR_SIZE))
        errorText.initialize(repeating: 0, count: Int(CURL_ERROR_SIZE))
        configure()
    }

    /// Frees everything; the exchange must be out of the multi handle.
    func close() {
        curl_easy_cleanup(handle)
        curl_slist_free_all(headerList)
        headerList = nil
        errorText.deallocate()
    }

    /// Tells the transfer how it ended.
    func complete(_ result: CURLcode) {
        if result == CURLE_OK {
            transfer.finish(.success(()))
            return
        }
        if result == CURLE_SEND_ERROR || result == CURLE_RECV_ERROR, !transfer.hasHead,
            let answer = sockets.lazy.compactMap({ [closedSockets] in CurlLateAnswer(closedSockets.leftover(of: $0)) }).first
        {
            transfer.finish(with: answer)
            return
        }
        if result == CURLE_COULDNT_CONNECT, hasRefusedAddress, sockets.isEmpty {
            transfer.finish(.failure(CurlError(.addressNotAllowed, curlCode: Int32(bitPattern: result.rawValue))))
            return
        }
        var detail = String(cString: errorText)
        if detail.isEmpty { detail = String(cString: curl_easy_strerror(result)) }
        transfer.finish(.failure(CurlError(Self.code(of: result), curlCode: Int32(bitPattern: result.rawValue), detail: detail)))
    }

    private static func code(of result: CURLcode) -> CurlError.Code {
        switch result {
        case CURLE_COULDNT_CONNECT, CURLE_COULDNT_RESOLVE_HOST, CURLE_COULDNT_RESOLVE_PROXY: .couldNotConnect
        case CURLE_OPERATION_TIMEDOUT: .timedOut
        case CURLE_SSL_CONNECT_ERROR, CURLE_PEER_FAILED_VERIFICATION, CURLE_SSL_CERTPROBLEM, CURLE_SSL_CIPHER, CURLE_SSL_CACERT_BADFILE,
            CURLE_SSL_ISSUER_ERROR:
            .tls
        case CURLE_SEND_ERROR, CURLE_RECV_ERROR, CURLE_GOT_NOTHING, CURLE_PARTIAL_FILE, CURLE_SEND_FAIL_REWIND: .connectionLost
        case CURLE_URL_MALFORMAT, CURLE_UNSUPPORTED_PROTOCOL: .invalidRequest
        default: .other
        }
    }

    // MARK: Options

    private func configure() {
        let request = transfer.request
        string(CURLOPT_URL, request.url)
        string(CURLOPT_PROTOCOLS_STR, "http,https")
        long(CURLOPT_NOSIGNAL, 1)
        long(CURLOPT_NOPROGRESS, 1)
        long(CURLOPT_FOLLOWLOCATION, 0)
        long(CURLOPT_PATH_AS_IS, 1)
        long(CURLOPT_TCP_KEEPALIVE, 1)
        long(CURLOPT_BUFFERSIZE, 64 * 1024)
        long(CURLOPT_UPLOAD_BUFFERSIZE, 64 * 1024)
        // One exchange a connection: HTTP/2 would keep megabytes of window for a stream that nobody reads.
        long(CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_1_1)
        string(CURLOPT_PROXY, "")
        string(CURLOPT_NOPROXY, "*")
        long(CURLOPT_SSL_VERIFYPEER, 1)
        long(CURLOPT_SSL_VERIFYHOST, 2)
        if let file = request.certificateAuthorityFile { string(CURLOPT_CAINFO, file) }
        if let path = request.unixSocketPath { string(CURLOPT_UNIX_SOCKET_PATH, path) }
        execbox_curl_set_pointer(handle, CURLOPT_ERRORBUFFER, errorText)

        // The socket may outlive this exchange, the loop's record of closed sockets outlives both.
        execbox_curl_set_pointer(handle, CURLOPT_CLOSESOCKETDATA, Unmanaged.passUnretained(closedSockets).toOpaque())
        execbox_curl_set_close_function(handle) { context, socket in
            if let context { Unmanaged<CurlClosedSockets>.fromOpaque(context).takeUnretainedValue().close(socket) }
            return 0
        }
        execbox_curl_set_pointer(handle, CURLOPT_SOCKOPTDATA, Unmanaged.passUnretained(self).toOpaque())
        execbox_curl_set_socket_function(handle) { context, socket, _ in
            if let context { CurlExchange.from(context).sockets.append(socket) }
            return Int32(CURL_SOCKOPT_OK)
        }
        // A large body has a connection of its own, so that its sockets are known when it is refused (see `complete`).
        if request.body.mayBeRefusedEarly { long(CURLOPT_FRESH_CONNECT, 1) }

        if request.allowsAddress != nil {
            long(CURLOPT_FRESH_CONNECT, 1)
            long(CURLOPT_FORBID_REUSE, 1)
            execbox_curl_set_pointer(handle, CURLOPT_OPENSOCKETDATA, Unmanaged.passUnretained(self).toOpaque())
            execbox_curl_set_open_function(handle) { context, _, address in
                guard let context, let address else { return execbox_curl_bad_socket() }
                return CurlExchange.from(context).open(address)
            }
        }

        long(CURLOPT_CONNECTTIMEOUT_MS, request.timeouts.connect.wholeMilliseconds)
        if let total = request.timeouts.total { long(CURLOPT_TIMEOUT_MS, total.wholeMilliseconds) }
        if let idle = request.timeouts.idle {
            long(CURLOPT_LOW_SPEED_LIMIT, 1)
            long(CURLOPT_LOW_SPEED_TIME, max(1, (idle.wholeMilliseconds + 999) / 1000))
        }

        setMethodAndBody(request)
        for header in request.headers {
            // "Name;" is libcurl's spelling of a header with no value; "Name:" would remove it.
            headerList = curl_slist_append(headerList, header.value.isEmpty ? "\(header.name);" : "\(header.name): \(header.value)")
        }
        // Waiting for "100 Continue" costs a second with peers that never send one.
        if request.headers["Expect"] == nil { headerList = curl_slist_append(headerList, "Expect:") }
        if request.headers["Content-Type"] == nil { headerList = curl_slist_append(headerList, "Content-Type:") }
        execbox_curl_set_pointer(handle, CURLOPT_HTTPHEADER, headerList)

        let context = Unmanaged.passUnretained(self).toOpaque()
        execbox_curl_set_pointer(handle, CURLOPT_HEADERDATA, context)
        execbox_curl_set_data_function(handle, CURLOPT_HEADERFUNCTION) { data, size, count, context in
            guard let data, let context else { return 0 }
            return CurlExchange.from(context).header(UnsafeRawBufferPointer(start: data, count: size * count))
        }
        execbox_curl_set_pointer(handle, CURLOPT_WRITEDATA, context)
        execbox_curl_set_data_function(handle, CURLOPT_WRITEFUNCTION) { data, size, count, context in
            guard let data, let context else { return 0 }
            return CurlExchange.from(context).receive(UnsafeRawBufferPointer(start: data, count: size * count))
        }
    }

    private func setMethodAndBody(_ request: CurlRequest) {
        switch request.body {
        case .none:
            switch request.method {
            case "GET": break
            case "HEAD": long(CURLOPT_NOBODY, 1)
            case "POST", "PUT", "PATCH": setBytes([], method: request.method)
            default: string(CURLOPT_CUSTOMREQUEST, request.method)
            }
        case .bytes(let bytes):
            setBytes(bytes, method: request.method)
        case .stream(let length, _):
            long(CURLOPT_UPLOAD, 1)
            string(CURLOPT_CUSTOMREQUEST, request.method)
            // -1 is libcurl's "unknown", which makes it send chunks.
            execbox_curl_set_offset(handle, CURLOPT_INFILESIZE_LARGE, length ?? -1)
            execbox_curl_set_pointer(handle, CURLOPT_READDATA, Unmanaged.passUnretained(self).toOpaque())
            execbox_curl_set_data_function(handle, CURLOPT_READFUNCTION) { data, size, count, context in
                guard let data, let context else { return execbox_curl_read_abort() }
                return CurlExchange.from(context).send(UnsafeMutableRawBufferPointer(start: data, count: size * count))
            }
        }
    }

    private func setBytes(_ bytes: [UInt8], method: String) {
        long(CURLOPT_POST, 1)
        if method != "POST" { string(CURLOPT_CUSTOMREQUEST, method) }
        // The size comes first: COPYPOSTFIELDS copies that many bytes, else up to a NUL.
        execbox_curl_set_offset(handle, CURLOPT_POSTFIELDSIZE_LARGE, Int64(bytes.count))
        bytes.withUnsafeBytes { buffer in
            guard let base = buffer.baseAddress else {
                string(CURLOPT_COPYPOSTFIELDS, "")
                return
            }
            execbox_curl_set_pointer(handle, CURLOPT_COPYPOSTFIELDS, UnsafeMutableRawPointer(mutating: base))
        }
    }

    private func long(_ option: CURLoption, _ value: Int) { execbox_curl_set_long(handle, option, value) }

    private func string(_ option: CURLoption, _ value: String) { execbox_curl_set_string(handle, option, value) }

    // MARK: Callbacks

    private static func from(_ context: UnsafeMutableRawPointer) -> CurlExchange {
        Unmanaged<CurlExchange>.fromOpaque(context).takeUnretainedValue()
    }

    /// A socket for an address that the request allows, else none.
    private func open(_ address: UnsafeMutablePointer<curl_sockaddr>) -> curl_socket_t {
        let bytes: [UInt8]
        switch address.pointee.family {
        case AF_INET:
            bytes = withUnsafePointer(to: &address.pointee.addr) { pointer in
                pointer.withMemoryRebound(to: sockaddr_in.self, capacity: 1) { withUnsafeBytes(of: $0.pointee.sin_addr) { Array($0) } }
            }
        case AF_INET6:
            bytes = withUnsafePointer(to: &address.pointee.addr) { pointer in
                UnsafeRawPointer(pointer).withMemoryRebound(to: sockaddr_in6.self, capacity: 1) {
                    withUnsafeBytes(of: $0.pointee.sin6_addr) { Array($0) }
                }
            }
        default: bytes = []
        }
        guard !bytes.isEmpty, transfer.request.allowsAddress?(bytes) == true else {
            hasRefusedAddress = true
            return execbox_curl_bad_socket()
        }
        return socket(address.pointee.family, address.pointee.socktype | Int32(SOCK_CLOEXEC.rawValue), address.pointee.protocol)
    }

    private func header(_ line: UnsafeRawBufferPointer) -> Int {
        var status = 0
        execbox_curl_get_long(handle, CURLINFO_RESPONSE_CODE, &status)
        return transfer.receiveHeaderLine(line, status: status) ? line.count : 0
    }

    private func receive(_ bytes: UnsafeRawBufferPointer) -> Int {
        switch transfer.receiveBody(bytes) {
        case .all: bytes.count
        case .paused: execbox_curl_write_pause()
        // Any number but the offered one stops libcurl; an empty piece is always taken.
        case .stopped: bytes.isEmpty ? 1 : 0
        }
    }

    private func send(_ room: UnsafeMutableRawBufferPointer) -> Int {
        switch transfer.sendBody(into: room) {
        case .bytes(let count): count
        case .end: 0
        case .paused: execbox_curl_read_pause()
        case .stopped: execbox_curl_read_abort()
        }
    }
}

extension Duration {
    /// At least 1, so that a tiny limit is not libcurl's "no limit".
    fileprivate var wholeMilliseconds: Int {
        let (seconds, attoseconds) = components
        let milliseconds = seconds.multipliedReportingOverflow(by: 1000)
        guard !milliseconds.overflow else { return Int(Int32.max) }
        return max(1, min(Int(Int32.max), Int(milliseconds.partialValue) + Int(attoseconds / 1_000_000_000_000_000)))
    }
}

extension CurlRequest.Body {
    /// More than a socket's buffer takes at once, so that the peer can answer while some of it is unsent.
    fileprivate var mayBeRefusedEarly: Bool {
        switch self {
        case .none: false
        case .bytes(let bytes): bytes.count > 32 * 1024
        case .stream: true
        }
    }
}
