/// Which end of the connection we are; a client masks what it sends and a server must not (RFC 6455 §5.1).
package enum WebSocketRole: Sendable { case client, server }
