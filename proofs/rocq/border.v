(******************************************************************************)
(*      Two layers as one: where it is exact, and where it is not             *)
(*                                                                            *)
(* A second layer reads the output of a first one on a grid Z that has no     *)
(* border.  The network crops it: outside the intermediate tensor M there are *)
(* padded zeros.  The fused layer does not: it continues the first layer      *)
(* there.  The two differ by exactly what was cropped.                        *)
(*                                                                            *)
(*   first z a == the input that tap a of the first layer meets at z, if any  *)
(*  second v b == the position where tap b of the second layer reads          *)
(*      crop z == z as an index of M, None outside                            *)
(*      grid m == the index m of M as a position                              *)
(*  layer1 z, layer1_bias z == the first layer at z, without and with bias    *)
(*  net, net_bias     == the two layers                                       *)
(*  fused, fused_bias == the one layer                                        *)
(*  border v      == some tap reads outside M where the first layer sees the  *)
(*                   input                                                    *)
(*  border_bias v == some tap reads outside M                                 *)
(******************************************************************************)
From mathcomp Require Import all_ssreflect all_algebra.
From AlgebraicCNN Require Import flatten pattern.
Set Implicit Arguments.
Unset Strict Implicit.
Unset Printing Implicit Defensive.
Import GRing.Theory.
Local Open Scope ring_scope.

Section TwoLayers.
Variables (K : comRingType) (I M O T1 T2 : finType) (Z : Type).
Variables (first : Z -> T1 -> option I) (second : O -> T2 -> Z).
Variables (crop : Z -> option M) (grid : M -> Z).
Hypothesis cropK : forall z m, crop z = Some m -> grid m = z.

Section Kernels.
Variables (k1 : Z -> T1 -> K) (k2 : O -> T2 -> K) (b : Z -> K) (x : I -> K).

Definition layer1 (z : Z) : K := \sum_a k1 z a * value x (first z a).
Definition layer1_bias (z : Z) : K := layer1 z + b z.
Definition net (v : O) : K := \sum_t k2 v t * value (layer1 \o grid) (crop (second v t)).
Definition net_bias (v : O) : K :=
  \sum_t k2 v t * value (layer1_bias \o grid) (crop (second v t)).
Definition fused (v : O) : K := \sum_t k2 v t * layer1 (second v t).
Definition fused_bias (v : O) : K := \sum_t k2 v t * layer1_bias (second v t).

Lemma crop_value (F : Z -> K) v :
  \sum_t k2 v t * F (second v t) - \sum_t k2 v t * value (F \o grid) (crop (second v t)) =
  \sum_(t | crop (second v t) == None) k2 v t * F (second v t).
Proof.
rewrite -sumrB [RHS]big_mkcond; apply: eq_bigr => t _.
by case E: crop => [m|] /=; rewrite ?mulr0 ?subr0 // (cropK E) subrr.
Qed.

(* the error of the fused layer is what the network crops *)
Theorem fused_error v :
  fused v - net v =
  \sum_(t | crop (second v t) == None) k2 v t * layer1 (second v t).
Proof. exact: crop_value. Qed.

Theorem fused_bias_error v :
  fused_bias v - net_bias v =
  \sum_(t | crop (second v t) == None) k2 v t * layer1_bias (second v t).
Proof. exact: crop_value. Qed.

End Kernels.

Lemma eq_net k1 k1' k2 k2' x : k1 =2 k1' -> k2 =2 k2' -> net k1 k2 x =1 net k1' k2' x.
Proof.
move=> e1 e2 v; apply: eq_bigr => t _; rewrite e2; congr (_ * _).
by case: crop => //= m; apply: eq_bigr => a _; rewrite e1.
Qed.

Lemma eq_fused k1 k1' k2 k2' x : k1 =2 k1' -> k2 =2 k2' -> fused k1 k2 x =1 fused k1' k2' x.
Proof.
move=> e1 e2 v; apply: eq_bigr => t _; rewrite e2; congr (_ * _).
by apply: eq_bigr => a _; rewrite e1.
Qed.

Definition border (v : O) : bool :=
  [exists t, (crop (second v t) == None) && [exists a, first (second v t) a != None]].
Definition border_bias (v : O) : bool := [exists t, crop (second v t) == None].

(* away from the border the one layer is exact, whatever the kernels and the input, *)
Theorem fused_exact k1 k2 x v : ~~ border v -> net k1 k2 x v = fused k1 k2 x v.
Proof.
move=> /existsPn inside; apply/esym/eqP; rewrite -subr_eq0 fused_error big1 // => t out.
rewrite /layer1 big1 ?mulr0 // => a _; have := inside t.
by rewrite out /= => /existsPn /(_ a); rewrite negbK => /eqP ->; rewrite mulr0.
Qed.

Theorem fused_bias_exact k1 k2 b x v :
  ~~ border_bias v -> net_bias k1 k2 b x v = fused_bias k1 k2 b x v.
Proof.
move=> /existsPn inside; apply/esym/eqP; rewrite -subr_eq0 fused_bias_error big1 // => t.
by rewrite (negPf (inside t)).
Qed.

(* and at every position of the border it is wrong for some kernels and some input:
   kernels that are the same at every position, and in every channel *)
Theorem fused_wrong v : border v ->
  exists (k1 : T1 -> K) (k2 : T2 -> K) (x : I -> K),
    net (fun=> k1) (fun=> k2) x v != fused (fun=> k1) (fun=> k2) x v.
Proof.
case/existsP=> t /andP[/eqP out /existsP[a]]; case E: (first _ _) => [i|] // _.
exists (fun a' => (a' == a)%:R), (fun t' => (t' == t)%:R), (fun=> 1).
rewrite eq_sym -subr_eq0 fused_error (bigD1 t) ?out //= eqxx mul1r.
rewrite [X in _ + X]big1 ?addr0 => [|t' /andP[_ /negPf ->]]; last by rewrite mul0r.
rewrite /layer1 (bigD1 a) //= eqxx mul1r E /= big1 ?addr0 ?oner_eq0 // => a' /negPf ->.
by rewrite mul0r.
Qed.

(* with a bias the border is wider: a padded zero is not the bias *)
Theorem fused_bias_wrong v : border_bias v ->
  exists (k2 : T2 -> K) (b : Z -> K),
    net_bias (fun _ _ => 0) (fun=> k2) b (fun=> 0) v
    != fused_bias (fun _ _ => 0) (fun=> k2) b (fun=> 0) v.
Proof.
case/existsP=> t /eqP out; exists (fun t' => (t' == t)%:R), (fun=> 1).
rewrite eq_sym -subr_eq0 fused_bias_error (bigD1 t) ?out //= eqxx mul1r.
rewrite [X in _ + X]big1 ?addr0 => [|t' /andP[_ /negPf ->]]; last by rewrite mul0r.
by rewrite /layer1_bias /layer1 big1 ?add0r ?oner_eq0 // => a _; rewrite mul0r.
Qed.

End TwoLayers.

Print Assumptions fused_error.
Print Assumptions fused_bias_error.
Print Assumptions fused_exact.
Print Assumptions fused_bias_exact.
Print Assumptions fused_wrong.
Print Assumptions fused_bias_wrong.
