import NIOCore

/// Lets a server channel accept so many connections a second; the others wait in the listen backlog.
final class AcceptGate: ChannelDuplexHandler {
    typealias InboundIn = any Channel
    typealias InboundOut = any Channel
    typealias OutboundIn = Never
    typealias OutboundOut = Never

    private var budget: AcceptBudget
    private var timer: Scheduled<Void>?

    init(perSecond: Int) {
        budget = AcceptBudget(perSecond: perSecond, at: .now())
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        budget.spend()
        context.fireChannelRead(data)
    }

    func read(context: ChannelHandlerContext) {
        guard timer == nil else { return }
        guard let delay = budget.delay(at: .now()) else { return context.read() }
        timer = context.eventLoop.assumeIsolated().scheduleTask(in: delay) {
            self.timer = nil
            self.read(context: context)
        }
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        timer?.cancel()
        timer = nil
    }
}
