"""The paper's models, registered with timm: import this package, then `timm.create_model('locatvit_tiny')`."""

from locat.models import jumbo as jumbo
from locat.models import rope_vit as rope_vit
from locat.models import swin as swin
from locat.models import vit as vit
