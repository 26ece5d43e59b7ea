// swift-tools-version: 6.1
import PackageDescription

let settings: [SwiftSetting] = [
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("MemberImportVisibility"),
]

let argumentParser = Target.Dependency.product(name: "ArgumentParser", package: "swift-argument-parser")
let asyncHTTPClient = Target.Dependency.product(name: "AsyncHTTPClient", package: "async-http-client")
let crypto = Target.Dependency.product(name: "Crypto", package: "swift-crypto")
let hummingbird = Target.Dependency.product(name: "Hummingbird", package: "hummingbird")
let hummingbirdCore = Target.Dependency.product(name: "HummingbirdCore", package: "hummingbird")
let httpTypes = Target.Dependency.product(name: "HTTPTypes", package: "swift-http-types")
let lifecycle = Target.Dependency.product(name: "ServiceLifecycle", package: "swift-service-lifecycle")
let unixSignals = Target.Dependency.product(name: "UnixSignals", package: "swift-service-lifecycle")
let logging = Target.Dependency.product(name: "Logging", package: "swift-log")
let nio = Target.Dependency.product(name: "NIOCore", package: "swift-nio")
let nioEmbedded = Target.Dependency.product(name: "NIOEmbedded", package: "swift-nio")
let nioPosix = Target.Dependency.product(name: "NIOPosix", package: "swift-nio")
let nioHTTP1 = Target.Dependency.product(name: "NIOHTTP1", package: "swift-nio")
let nioWebSocket = Target.Dependency.product(name: "NIOWebSocket", package: "swift-nio")
let nioHTTPTypes = Target.Dependency.product(name: "NIOHTTPTypes", package: "swift-nio-extras")
let nioHTTPTypesHTTP1 = Target.Dependency.product(name: "NIOHTTPTypesHTTP1", package: "swift-nio-extras")
let nioSSL = Target.Dependency.product(name: "NIOSSL", package: "swift-nio-ssl")

// Bottom up: an import only ever points to a target further up in this list.
let package = Package(
    name: "execbox-cloud",
    products: [
        .executable(name: "execboxd", targets: ["execboxd"]),
        .executable(name: "execbox", targets: ["execbox"]),
        .executable(name: "execbox-agent", targets: ["execbox-agent"]),
        .executable(name: "execbox-bench", targets: ["execbox-bench"]),
        .library(name: "ExecboxClient", targets: ["ExecboxClient"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/apple/swift-crypto", from: "4.5.2"),
        .package(url: "https://github.com/apple/swift-http-types", from: "1.8.0"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
        .package(url: "https://github.com/apple/swift-nio-extras", from: "1.35.2"),
        .package(url: "https://github.com/apple/swift-nio-ssl", from: "2.37.6"),
        .package(url: "https://github.com/hummingbird-project/hummingbird", from: "2.28.1"),
        .package(url: "https://github.com/swift-server/async-http-client", from: "1.37.0"),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.13.0"),
    ],
    targets: [
        .target(name: "ExecboxModel", path: "Sources/Model", swiftSettings: settings),
        .target(name: "ExecboxWire", path: "Sources/Wire", swiftSettings: settings),
        .target(name: "ExecboxAPI", dependencies: ["ExecboxModel"], path: "Sources/API", swiftSettings: settings),

        .systemLibrary(name: "CLibPQ", path: "Sources/CLibPQ", pkgConfig: "libpq", providers: [.apt(["libpq-dev"])]),
        .systemLibrary(name: "CCurl", path: "Sources/CCurl", pkgConfig: "libcurl", providers: [.apt(["libcurl4-openssl-dev"])]),
        .target(name: "CAgent", path: "Sources/CAgent"),

        .target(name: "ExecboxAgent", dependencies: ["ExecboxWire", "CAgent"], path: "Sources/Agent", swiftSettings: settings),
        .executableTarget(
            name: "execbox-agent", dependencies: ["ExecboxAgent"], path: "Sources/execbox-agent", swiftSettings: settings),

        .target(
            name: "ExecboxPostgres", dependencies: ["CLibPQ", crypto, logging, lifecycle], path: "Sources/Postgres",
            swiftSettings: settings),
        .target(name: "ExecboxCurl", dependencies: ["CCurl"], path: "Sources/Curl", swiftSettings: settings),
        .target(
            name: "ExecboxWebSocket", dependencies: [nio, nioPosix, nioHTTP1, nioWebSocket, nioSSL], path: "Sources/WebSocket",
            swiftSettings: settings),

        .target(name: "ExecboxSandbox", dependencies: ["ExecboxModel", "ExecboxWire"], path: "Sources/Sandbox", swiftSettings: settings),
        .target(
            name: "ExecboxAgentClient",
            dependencies: ["ExecboxSandbox", "ExecboxModel", "ExecboxWire", nio, nioPosix, logging, lifecycle],
            path: "Sources/AgentClient", swiftSettings: settings),
        .target(
            name: "ExecboxDocker", dependencies: ["ExecboxSandbox", "ExecboxModel", "ExecboxCurl", crypto, logging],
            path: "Sources/Backends/Docker", swiftSettings: settings),

        .target(
            name: "ExecboxCore",
            dependencies: [
                "ExecboxPostgres", "ExecboxSandbox", "ExecboxAgentClient", "ExecboxModel", "ExecboxWire", crypto, nio, logging, lifecycle,
            ],
            path: "Sources/Core", swiftSettings: settings),
        .target(
            name: "ExecboxServer",
            dependencies: [
                "ExecboxCore", "ExecboxAPI", "ExecboxWebSocket", "ExecboxPostgres", "ExecboxAgentClient", "ExecboxModel", "ExecboxWire",
                hummingbird, hummingbirdCore, httpTypes, nio, nioPosix, nioHTTP1, nioWebSocket, nioHTTPTypes, nioHTTPTypesHTTP1, logging,
                lifecycle,
            ],
            path: "Sources/Server", swiftSettings: settings),
        .target(
            name: "ExecboxClient",
            dependencies: [
                "ExecboxAPI", "ExecboxWire", "ExecboxModel", "ExecboxWebSocket", asyncHTTPClient, nio, nioPosix, nioHTTP1, nioSSL,
            ],
            path: "Sources/Client", swiftSettings: settings),

        .executableTarget(
            name: "execboxd",
            dependencies: [
                "ExecboxServer", "ExecboxCore", "ExecboxDocker", "ExecboxCurl", "ExecboxPostgres", "ExecboxSandbox", "ExecboxAgentClient",
                "ExecboxModel", hummingbird, argumentParser, logging, lifecycle, unixSignals, nio, nioPosix,
            ],
            path: "Sources/execboxd", swiftSettings: settings),
        .executableTarget(
            name: "execbox", dependencies: ["ExecboxClient", "ExecboxAPI", "ExecboxModel", "ExecboxWire", argumentParser, nio],
            path: "Sources/execbox", swiftSettings: settings),
        .executableTarget(
            name: "execbox-bench",
            dependencies: ["ExecboxClient", "ExecboxAPI", "ExecboxModel", "ExecboxCurl", "ExecboxDocker", hummingbird, argumentParser],
            path: "benchmarks", exclude: ["lines", "history.sql"], swiftSettings: settings),

        .target(name: "ExecboxTestRandom", path: "Tests/Random", swiftSettings: settings),
        .target(
            name: "ExecboxTestSupport",
            dependencies: [
                "ExecboxPostgres", "ExecboxDocker", "ExecboxCurl", "ExecboxSandbox", "ExecboxModel", "ExecboxAPI", "ExecboxWire",
                "ExecboxWebSocket", nio, nioPosix, nioHTTP1, nioSSL, logging,
            ],
            path: "Tests/Support", swiftSettings: settings),
        .testTarget(
            name: "WireTests", dependencies: ["ExecboxTestRandom", "ExecboxWire"], path: "Tests/WireTests", swiftSettings: settings),
        .testTarget(
            name: "APITests", dependencies: ["ExecboxTestRandom", "ExecboxAPI", "ExecboxModel"], path: "Tests/APITests",
            swiftSettings: settings),
        .testTarget(
            name: "AgentTests", dependencies: ["ExecboxTestRandom", "ExecboxAgent", "ExecboxWire", "execbox-agent"],
            path: "Tests/AgentTests",
            swiftSettings: settings),
        .testTarget(
            name: "PostgresTests",
            dependencies: ["ExecboxPostgres", "ExecboxTestSupport", logging, lifecycle], path: "Tests/PostgresTests",
            swiftSettings: settings),
        .testTarget(name: "CurlTests", dependencies: ["ExecboxCurl"], path: "Tests/CurlTests", swiftSettings: settings),
        .testTarget(
            name: "WebSocketTests",
            dependencies: [
                "ExecboxTestRandom",
                "ExecboxWebSocket", "ExecboxServer", "ExecboxAPI", "ExecboxModel", hummingbird, hummingbirdCore, httpTypes, logging,
                lifecycle, nio,
                nioEmbedded, nioPosix, nioHTTP1, nioWebSocket,
            ],
            path: "Tests/WebSocketTests", swiftSettings: settings),
        .testTarget(
            name: "AgentClientTests",
            dependencies: [
                "ExecboxTestRandom", "ExecboxAgentClient", "ExecboxSandbox", "ExecboxModel", "ExecboxWire", logging, nio, nioEmbedded,
                nioPosix,
            ],
            path: "Tests/AgentClientTests", swiftSettings: settings),
        .testTarget(
            name: "DockerTests",
            dependencies: ["ExecboxDocker", "ExecboxTestSupport", "ExecboxSandbox", "ExecboxModel", "ExecboxCurl", logging],
            path: "Tests/DockerTests", swiftSettings: settings),
        .testTarget(
            name: "CoreTests",
            dependencies: [
                "ExecboxTestRandom", "ExecboxCore", "ExecboxTestSupport", "ExecboxPostgres", "ExecboxModel", "ExecboxWire", crypto,
                logging,
            ],
            path: "Tests/CoreTests", swiftSettings: settings),
        .testTarget(
            name: "ServerTests",
            dependencies: [
                "ExecboxTestRandom",
                "ExecboxServer", "ExecboxTestSupport", "ExecboxAPI", "ExecboxWire", "ExecboxWebSocket", "ExecboxPostgres", "ExecboxCurl",
                "ExecboxModel", "ExecboxCore", "ExecboxDocker", "ExecboxAgentClient", "execboxd", crypto, logging, nio, nioPosix, nioHTTP1,
            ],
            path: "Tests/ServerTests", swiftSettings: settings),
        .testTarget(
            name: "ClientTests",
            dependencies: [
                "ExecboxTestRandom",
                "execbox", "ExecboxClient", "ExecboxServer", "ExecboxWebSocket", "ExecboxAPI", "ExecboxModel", "ExecboxWire", hummingbird,
                httpTypes, logging, lifecycle, nio,
            ],
            path: "Tests/ClientTests", swiftSettings: settings),
        .testTarget(
            name: "ConformanceTests", dependencies: ["ExecboxClient", "ExecboxTestSupport", "ExecboxAPI", "ExecboxModel"],
            path: "Tests/Conformance", swiftSettings: settings),
    ],
    swiftLanguageModes: [.v6]
)
