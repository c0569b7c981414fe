local M = {}
local shared = 0
function M.run()
    local own = 10
    M.own = function() own = own + 100 return own end
    while true do
        shared = shared + 1
        coroutine.yield(shared, own)
    end
end
function M.get() return shared, "new" end
return M
