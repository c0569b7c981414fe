-- What happens within the waves, beside the drones of `assets/waves.ron`.
--
-- Each wave may have a script: steps from top to bottom, told with the words below. It begins
-- with its wave and ends with it.
--
-- | word | means |
-- |---|---|
-- | `wait(seconds)` | nothing, for so long; a paused game does not count |
-- | `thinned(count)` | wait until so few drones are left |
-- | `say(text, detail)` | big words in the middle of the screen |
-- | `ring { kind, count, radius, gap, toward }` | a circle around the ship that closes in |
-- | `wedge { kind, rows, from }` | a wedge out of a wall: "left", "right", "top", "bottom" |
-- | `breathe(seconds)` | nobody comes in for so long, and a shield drifts by |

local formations = require "lib.formations"
local ring, wedge = formations.ring, formations.wedge

local wait, thinned, say, breathe

-- The scripts, by the names of the waves. ------------------------------------------------------
-- Try changing them while the game runs. A script that has begun goes on to its end with the old
-- steps; `inspector call waves again` begins the new one for the wave that is on.

local script = {}

script["First contact"] = function()
    wait(14)
    say("They have seen you", "a wedge comes from the right")
    wedge { kind = "Drifter", rows = 4, from = "right" }
    wait(9)
    wedge { kind = "Drifter", rows = 5, from = "left" }
end

script["Swarm"] = function()
    wait(9)
    say("Wedge!")
    wedge { kind = "Seeker", rows = 4, from = formations.far_wall() }
    wait(5)
    thinned(220)
    breathe(4)
    for _, wall in ipairs { "left", "right" } do
        wedge { kind = "Seeker", rows = 4, from = wall }
        wait(2)
    end
end

script["Encircled"] = function()
    wait(8)
    say("The ring closes", "the way out is up")
    ring { kind = "Drifter", count = 70, radius = 60, gap = 0.2, toward = -math.pi / 2 }
    wait(6)
    ring { kind = "Drifter", count = 90, radius = 70, gap = 0.15, toward = math.pi / 2 }
    wait(5)
    thinned(300)
    breathe(4)
end

script["Falling apart"] = function()
    wait(10)
    say("Hunters", "when they stop, turn")
    wedge { kind = "Hunter", rows = 3, from = formations.far_wall() }
    wait(12)
    thinned(350)
    breathe(5)
    ring { kind = "Splitter", count = 8, radius = 75 }
end

script["The flood"] = function()
    wait(8)
    for _, wall in ipairs { "top", "bottom", "left", "right" } do
        wedge { kind = "Seeker", rows = 6, from = wall }
        wait(3)
    end
    breathe(5)
    say("The flood comes back")
    ring { kind = "Drifter", count = 120, radius = 75, gap = 0.12 }
end

script["Everything"] = function()
    wait(6)
    say("Everything", "and a little more")
    ring { kind = "Seeker", count = 60, radius = 80, gap = 0.2, toward = math.random() * 6 }
    wait(8)
    wedge { kind = "Hunter", rows = 5, from = formations.far_wall() }
    wait(5)
    thinned(900)
    breathe(6)
    wedge { kind = "Splitter", rows = 4, from = "top" }
    wedge { kind = "Splitter", rows = 4, from = "bottom" }
end

-- The words. -----------------------------------------------------------------------------------

local M = { __reload = { untouched = "new" } }

function wait(seconds)
    -- The game's own clock stands still while it is paused.
    local over = world:resource("Game").seconds + seconds
    while world:resource("Game").seconds < over do
        coroutine.yield()
    end
end

function thinned(count)
    while world:count("Drone") > count do
        coroutine.yield()
    end
end

function say(text, detail)
    local banner = world:resource("Banner")
    banner.text, banner.detail, banner.left = text, detail or "", 3.5
    log.info(text)
end

function breathe(seconds)
    say("Breathe")
    local _, at = formations.ship()
    if at then
        world:spawn {
            Pickup = { kind = "Shield" },
            Position = { { x = at.x * 0.5, y = at.y * 0.5 } },
            Velocity = { { x = 3, y = 0 } },
            Lifetime = { left = 14, total = 14 },
        }
    end
    world:resource("WaveProgress").hold = seconds
    wait(seconds)
end

-- Which wave's script runs. --------------------------------------------------------------------

local job -- the one that runs
local on = "" -- its game and wave

-- Name of the wave that is on, as in `waves.ron`.
local function name()
    local waves = world:resource("WavePlan").waves
    return waves[world:resource("WaveProgress").number % #waves + 1].name
end

local function stop()
    if job then
        engine.cancel(job)
        job = nil
    end
end

-- Begins the script of this wave anew; also for the inspector: `call waves again`.
function M.again()
    stop()
    local steps = script[name()]
    if steps then
        job = engine.start(steps)
    end
end

function M.update()
    local game = world:resource("Game")
    if game.phase == "Over" then
        stop()
        return
    end
    local now = game.number .. "." .. world:resource("WaveProgress").number
    if now ~= on then
        on = now
        M.again()
    end
end

return M
