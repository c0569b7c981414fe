local M = load_module()
local start, hit, stop = M.handlers.start, M.handlers.hit, M.handlers.stop
reload()
start() hit(3) stop()
M.handlers.hit(4)
expect(table.concat(M.log, ", "), "new start, new hit 3, new stop, new hit 4")
expect(M.handlers.pause == nil, false)
