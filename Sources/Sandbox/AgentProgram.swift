/// Where every backend puts the agent's program in a sandbox: readable and executable for every user in it, writable for none.
package enum AgentProgram {
    package static let path = "/.execbox/bin/execbox-agent"
}
